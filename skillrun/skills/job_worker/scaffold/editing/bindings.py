"""Which names a module binds at its top level, and what an import brings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from skillrun.repo.syntax import find_nodes

BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True)
class Origin:
    """What an imported name is: `shop.mailer`; a relative import is resolved by the path of its
    module.

    `above` are the folders that lead there: the first of them may be a source root rather than
    packages.
    """

    name: str
    above: tuple[str, ...] = ()

    def names(self) -> set[str]:
        """The dotted names that may stand for it."""
        return {".".join((*self.above[start:], self.name)) for start in range(len(self.above))} or {
            self.name
        }


@dataclass(frozen=True)
class Binding:
    """A name, the statement that binds it, and its origin where that is an import."""

    name: str
    statement: ast.stmt
    for_types: bool = False  # within `if TYPE_CHECKING:`
    origin: Origin | None = None
    dotted: str = ""  # of `import a.b`: "a.b"


@dataclass(frozen=True)
class Imported:
    """One name of an import statement."""

    name: str  # that it binds
    alias: ast.alias
    origin: Origin
    dotted: str = ""


Follow = Callable[[str], str]
"""A dotted name -> the name of what it stands for, the repository's own re-exports followed."""


def unfollowed(name: str) -> str:
    """The name itself: no repository is at hand."""
    return name


def same_origin(left: Origin | None, right: Origin | None, follow: Follow = unfollowed) -> bool:
    """Whether two imports bring the same object, also by way of a module that passes it on."""
    if left is None or right is None:
        return False
    ours, theirs = left.names(), right.names()
    if not ours.isdisjoint(theirs):
        return True
    return any(
        _is_passed_on(one, other) for one in map(follow, ours) for other in map(follow, theirs)
    )


def _is_passed_on(one: str, other: str) -> bool:
    """One name at two places of a library: `sqlalchemy.func` is `sqlalchemy.sql.func`, but `a.a` is
    in `a`.
    """
    if one == other:
        return True
    ours, theirs = one.split("."), other.split(".")
    within = f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
    return (ours[0], ours[-1]) == (theirs[0], theirs[-1]) and not within


def imported(statement: ast.stmt, path: str) -> list[Imported]:
    """What an import statement binds; nothing for other statements and for `*`."""
    if isinstance(statement, ast.Import):
        return [plain(alias) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [
            Imported(alias.asname or alias.name, alias, origin_of(statement, alias, path))
            for alias in statement.names
            if alias.name != "*"
        ]
    return []


def plain(alias: ast.alias) -> Imported:
    if alias.asname:
        return Imported(alias.asname, alias, Origin(alias.name))
    root = alias.name.partition(".")[0]
    return Imported(root, alias, Origin(root), alias.name)


def origin_of(statement: ast.ImportFrom, alias: ast.alias, path: str) -> Origin:
    if statement.module:
        name = f"{statement.module}.{alias.name}"
    else:
        name = alias.name
    if not statement.level:
        return Origin(name)
    folders = PurePosixPath(path).parent.parts
    above = folders[: max(0, len(folders) - statement.level + 1)]
    # Of a package whose own folder is not in the path.
    return Origin(name if above else f".{name}", above)


def bindings(tree: ast.Module, path: str) -> dict[str, list[Binding]]:
    """Every name that the top level binds, also within `if`, `try`, `with` and loops, in the order
    of the text.
    """
    found: dict[str, list[Binding]] = {}
    for statement, for_types in top_level(tree.body):
        for name in defined(statement):
            found.setdefault(name, []).append(Binding(name, statement, for_types))
        for one in imported(statement, path):
            binding = Binding(one.name, statement, for_types, one.origin, one.dotted)
            found.setdefault(one.name, []).append(binding)
    return found


def top_level(body: Iterable[ast.stmt], for_types: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """(statement, whether it is only for type checkers) of the top level, blocks opened, functions
    and classes not.
    """
    for statement in body:
        yield statement, for_types
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for block in BLOCKS:
            inner = getattr(statement, block, [])
            yield from top_level(
                inner, for_types or (block == "body" and is_type_checking(statement))
            )
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from top_level(part.body, for_types)


def is_type_checking(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and dotted_name(statement.test).rpartition(".")[2] == "TYPE_CHECKING"
    )


def is_main(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    sides = [statement.test.left, *statement.test.comparators]
    found = set()
    for side in sides:
        found.add(side.id if isinstance(side, ast.Name) else getattr(side, "value", None))
    return found == {"__name__", "__main__"}


def defined(statement: ast.stmt) -> list[str]:
    """The names that a statement itself binds, imports aside; `app.conf.x = 1` binds
    "app.conf.x".
    """
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            return [name for target in statement.targets for name in targets(target)]
        case ast.AnnAssign() | ast.For() | ast.AsyncFor():
            return list(targets(statement.target))
        case ast.With() | ast.AsyncWith():
            bound: list[str] = []
            for item in statement.items:
                if item.optional_vars:
                    bound += targets(item.optional_vars)
            return bound
    return []


def targets(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Tuple | ast.List):
        for element in node.elts:
            yield from targets(element)
    elif isinstance(node, ast.Starred):
        yield from targets(node.value)
    else:
        yield ast.unparse(node)


def dotted_name(node: ast.expr) -> str:
    """`a.b.c` as text; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted_name(node.value)):
        return f"{left}.{node.attr}"
    return ""


def used(statement: ast.stmt) -> set[str]:
    """The names that a statement mentions."""
    return {node.id for node in find_nodes(statement, ast.Name)}
