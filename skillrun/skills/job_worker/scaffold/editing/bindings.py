"""Which names a module binds at its top level, and what an import brings."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

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
        """The dotted names that may stand for it: `src.shop.mailer` and `shop.mailer` for a
        `from . import mailer` in `src/shop/`.
        """
        if not self.above:
            return {self.name}
        names = set()
        for start in range(len(self.above)):
            names.add(".".join((*self.above[start:], self.name)))
        return names


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
    pairs = itertools.product(map(follow, ours), map(follow, theirs))
    return any(_is_passed_on(one, other) for one, other in pairs)


def _is_passed_on(one: str, other: str) -> bool:
    """Whether two names are one thing at two places of a library: `sqlalchemy.func` is
    `sqlalchemy.sql.func`, but `a.a` is in `a`.
    """
    if one == other:
        return True
    is_within = f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
    if is_within:
        return False
    ours, theirs = one.split("."), other.split(".")
    return ours[0] == theirs[0] and ours[-1] == theirs[-1]


def list_imported(statement: ast.stmt, path: str) -> list[Imported]:
    """What an import statement binds; nothing for other statements and for `*`."""
    if isinstance(statement, ast.Import):
        return [read_plain_import(alias) for alias in statement.names]
    if not isinstance(statement, ast.ImportFrom):
        return []
    names = []
    for alias in statement.names:
        if alias.name != "*":
            origin = find_origin(statement, alias, path)
            names.append(Imported(alias.asname or alias.name, alias, origin))
    return names


def read_plain_import(alias: ast.alias) -> Imported:
    """What `import a.b` binds, which is `a`, and what `import a.b as c` does."""
    if alias.asname:
        return Imported(alias.asname, alias, Origin(alias.name))
    root = alias.name.partition(".")[0]
    return Imported(root, alias, Origin(root), alias.name)


def find_origin(statement: ast.ImportFrom, alias: ast.alias, path: str) -> Origin:
    """What `from a import b` brings into the module at this path."""
    name = alias.name
    if statement.module:
        name = f"{statement.module}.{alias.name}"
    if not statement.level:
        return Origin(name)
    folders = PurePosixPath(path).parent.parts
    above = folders[: max(0, len(folders) - statement.level + 1)]
    # Of a package whose own folder is not in the path.
    if not above:
        return Origin(f".{name}", above)
    return Origin(name, above)


def list_bindings(tree: ast.Module, path: str) -> dict[str, list[Binding]]:
    """Every name that the top level binds, also within `if`, `try`, `with` and loops, in the order
    of the text.
    """
    found: dict[str, list[Binding]] = {}
    for statement, for_types in top_level(tree.body):
        for name in list_defined(statement):
            found.setdefault(name, []).append(Binding(name, statement, for_types))
        for one in list_imported(statement, path):
            binding = Binding(one.name, statement, for_types, one.origin, one.dotted)
            found.setdefault(one.name, []).append(binding)
    return found


def top_level(body: Iterable[ast.stmt], for_types: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """(statement, whether it is only for type checkers) for each statement of the top level. Blocks
    are opened; functions and classes are not.
    """
    for statement in body:
        yield statement, for_types
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for block in BLOCKS:
            # The `else` of `if TYPE_CHECKING:` is what runs.
            is_for_types = block == "body" and is_type_checking(statement)
            yield from top_level(getattr(statement, block, []), for_types or is_for_types)
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from top_level(part.body, for_types)


def is_type_checking(statement: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:` or `if typing.TYPE_CHECKING:`."""
    if not isinstance(statement, ast.If):
        return False
    return dotted_name(statement.test).rpartition(".")[2] == "TYPE_CHECKING"


def is_main(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    sides = set[Any]()
    for side in (statement.test.left, *statement.test.comparators):
        if isinstance(side, ast.Name):
            sides.add(side.id)
        else:
            sides.add(getattr(side, "value", None))
    return sides == {"__name__", "__main__"}


def list_defined(statement: ast.stmt) -> list[str]:
    """The names that a statement itself binds, imports aside; `app.conf.x = 1` binds
    "app.conf.x".
    """
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            names: list[str] = []
            for target in statement.targets:
                names += list_targets(target)
            return names
        case ast.AnnAssign() | ast.For() | ast.AsyncFor():
            return list(list_targets(statement.target))
        case ast.With() | ast.AsyncWith():
            bound: list[str] = []
            for item in statement.items:
                if item.optional_vars:
                    bound += list_targets(item.optional_vars)
            return bound
    return []


def list_targets(node: ast.expr) -> Iterator[str]:
    """The names of an assignment's target: `a`, `b` and `c.d` of `a, (b, *c.d) = ...`."""
    if isinstance(node, ast.Tuple | ast.List):
        for element in node.elts:
            yield from list_targets(element)
    elif isinstance(node, ast.Starred):
        yield from list_targets(node.value)
    else:
        yield ast.unparse(node)


def dotted_name(node: ast.expr) -> str:
    """`a.b.c` as text; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = dotted_name(node.value)
        if left:
            return f"{left}.{node.attr}"
    return ""


def list_used(statement: ast.stmt) -> set[str]:
    """The names that a statement mentions."""
    return {node.id for node in find_nodes(statement, ast.Name)}
