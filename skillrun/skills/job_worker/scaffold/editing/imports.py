"""Imports that a module lacks: joined to those that are there, or a new line in the group where it
belongs.
"""

from __future__ import annotations

import ast
import bisect
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import libcst as cst
from libcst.helpers import get_full_name_for_node

from skillrun.skills.job_worker.scaffold.editing.sequences import Bracketed, inserted, stacked
from skillrun.skills.job_worker.scaffold.editing.source import (
    Source,
    Statement,
    blanks,
    set_off,
    spaced,
)

FUTURE, STANDARD, THIRD_PARTY, OWN, RELATIVE = range(5)
SOURCE_ROOTS = ("src", "lib")


@dataclass(frozen=True)
class Missing:
    """An import statement of which a module lacks these names; `node` where it lacks all of
    them.
    """

    statement: ast.Import | ast.ImportFrom
    aliases: tuple[ast.alias, ...]
    node: cst.SimpleStatementLine | None = None


@dataclass(frozen=True)
class Manner:
    """How imports are written here."""

    own: frozenset[str]  # the top-level packages of this repository
    line_length: int
    indent: str
    code: Callable[[cst.CSTNode], str]


def manner_of(source: Source, own: Collection[str]) -> Manner:
    """As the module is indented; the package that it lies in is the repository's own."""
    packages = frozenset(own) | own_packages(source.path)
    return Manner(
        packages, source.line_length, source.module.default_indent, source.module.code_for_node
    )


def own_packages(path: str) -> set[str]:
    """The package that a file lies in, by its path."""
    folders = []
    for part in PurePosixPath(path).parent.parts:
        if part not in SOURCE_ROOTS:
            folders.append(part)
    return set(folders[:1])


# -- reading


def import_of(statement: cst.CSTNode) -> cst.Import | cst.ImportFrom | None:
    """The import of a line that holds one and nothing else."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    only = statement.body[0]
    if not isinstance(only, cst.Import | cst.ImportFrom):
        return None
    return only


def module_of(node: cst.Import | cst.ImportFrom) -> str:
    """`shop.mailer`, or with its leading dots."""
    if isinstance(node, cst.Import):
        return get_full_name_for_node(node.names[0].name) or ""
    if node.module:
        name = get_full_name_for_node(node.module)
    else:
        name = ""
    return "." * len(node.relative) + (name or "")


def section(module: str, manner: Manner) -> int:
    """The group that imports of a module stand in."""
    root = module.partition(".")[0]
    if not root:
        return RELATIVE
    if root == "__future__":
        return FUTURE
    if root in manner.own:
        return OWN
    if root in sys.stdlib_module_names:
        return STANDARD
    return THIRD_PARTY


def by_kind(node: cst.Import | cst.ImportFrom) -> Any:
    """The order of isort and ruff: `import x` first, parents of a relative import before its
    siblings.
    """
    return (isinstance(node, cst.ImportFrom), *by_module(node))


def by_module(node: cst.Import | cst.ImportFrom) -> Any:
    """`force_sort_within_sections`: by the module alone."""
    module = module_of(node)
    name = module.lstrip(".")
    return (len(name) - len(module), name.lower(), name)


def import_zone(body: Sequence[Statement]) -> int:
    """How many statements come before the first function or class."""
    definitions = cst.FunctionDef | cst.ClassDef
    for number, one in enumerate(body):
        if isinstance(one, definitions):
            return number
    return len(body)


def end_of_imports(body: Sequence[Statement]) -> int:
    """The index after the last import at the head of a module, also one in `if` or `try`; or after
    the docstring.
    """
    zone = body[: import_zone(body)]
    last = max((number for number, one in enumerate(zone) if holds_import(one)), default=-1)
    return last + 1 or (1 if body and is_docstring(body[0]) else 0)


def holds_import(statement: Statement) -> bool:
    if import_of(statement):
        return True
    if not isinstance(statement, cst.If | cst.Try) or not isinstance(
        statement.body, cst.IndentedBlock
    ):
        return False
    return bool(statement.body.body) and import_of(statement.body.body[0]) is not None


def is_docstring(statement: Statement) -> bool:
    if not isinstance(statement, cst.SimpleStatementLine):
        return False
    first = statement.body[0]
    return isinstance(first, cst.Expr) and isinstance(
        first.value, cst.SimpleString | cst.ConcatenatedString
    )


# -- writing


def with_imports(
    body: Sequence[Statement], missing: Sequence[Missing], manner: Manner
) -> list[Statement]:
    """The statements with the missing imports among them."""
    result = list(body)
    for one in missing:
        lonely = []
        for alias in one.aliases:
            if not join(result, one.statement, alias, manner):
                lonely.append(alias)
        if lonely:
            place(result, new_import(one, lonely, manner), manner)
    return result


def join(
    body: list[Statement], wanted: ast.Import | ast.ImportFrom, alias: ast.alias, manner: Manner
) -> bool:
    """Whether the name could be added to a `from x import ...` that is there, which it then is."""
    if isinstance(wanted, ast.Import):
        return False
    module = "." * wanted.level + (wanted.module or "")
    for number, statement in enumerate(body):
        node = import_of(statement)
        if isinstance(node, cst.ImportFrom) and module_of(node) == module and takes(node, alias):
            body[number] = statement.with_changes(body=[joined(statement, node, alias, manner)])
            return True
    return False


def takes(node: cst.ImportFrom, alias: ast.alias) -> bool:
    """isort and ruff keep `from x import y as z` on a line of its own."""
    if isinstance(node.names, cst.ImportStar):
        return False
    renamed = [name.asname is not None for name in node.names]
    if alias.asname is None:
        return not any(renamed)
    return len(renamed) > 1 and any(renamed)


def joined(
    statement: Statement, node: cst.ImportFrom, alias: ast.alias, manner: Manner
) -> cst.ImportFrom:
    """`from x import y` with one more name, in parentheses where the line gets too long."""
    assert not isinstance(node.names, cst.ImportStar)
    names = [(get_full_name_for_node(name.name) or "") for name in node.names]
    if node.lpar:
        opening = node.lpar.whitespace_after
    else:
        opening = cst.SimpleWhitespace("")
    if node.rpar:
        closing = node.rpar.whitespace_before
    else:
        closing = cst.SimpleWhitespace("")
    there = Bracketed(opening, tuple(node.names), closing)
    longer = inserted(there, alias_node(alias), position(names, alias.name), manner.indent)
    if node.lpar:
        result = within(node, longer)
    else:
        result = node.with_changes(names=longer.elements)
    line = manner.code(statement.with_changes(leading_lines=(), body=[result]))
    if "\n" in line.rstrip() or len(line.rstrip()) <= manner.line_length or "\\" in line:
        return result
    bare = [name.with_changes(comma=cst.MaybeSentinel.DEFAULT) for name in longer.elements]
    return within(node, stacked(bare, manner.indent))


def within(node: cst.ImportFrom, names: Bracketed) -> cst.ImportFrom:
    """The import with these names in parentheses."""
    return node.with_changes(
        names=names.elements,
        lpar=(node.lpar or cst.LeftParen()).with_changes(whitespace_after=names.opening),
        rpar=(node.rpar or cst.RightParen()).with_changes(whitespace_before=names.closing),
    )


def position(names: Sequence[str], new: str) -> int:
    """Where a name goes among others: in order where they are in one of the usual orders, else
    last.
    """
    orders: tuple[Callable[[str], Any], ...] = (typed, str.lower, str)
    for key in orders:
        keys = list(map(key, names))
        if keys == sorted(keys):
            return bisect.bisect_right(keys, key(new))
    return len(names)


def typed(name: str) -> tuple[int, str, str]:
    """isort's order: CONSTANTS, Classes, functions."""
    if name.isupper() and len(name) > 1:
        kind = 0
    elif name[:1].isupper():
        kind = 1
    else:
        kind = 2
    return kind, name.lower(), name


def alias_node(alias: ast.alias) -> cst.ImportAlias:
    asname = None
    if alias.asname:
        asname = cst.AsName(cst.Name(alias.asname))
    name = cst.parse_expression(alias.name)
    assert isinstance(name, cst.Attribute | cst.Name)
    return cst.ImportAlias(name, asname)


def new_import(
    missing: Missing, aliases: Sequence[ast.alias], manner: Manner
) -> cst.SimpleStatementLine:
    """A line of its own; the template's own line, comments too, where nothing of it is there."""
    if missing.node and len(aliases) == len(missing.statement.names):
        return missing.node
    names = ", ".join(ast.unparse(alias) for alias in aliases)
    wanted = missing.statement
    if isinstance(wanted, ast.Import):
        return line_of(f"import {names}")
    line = line_of(f"from {'.' * wanted.level}{wanted.module or ''} import {names}")
    node = import_of(line)
    if len(manner.code(line).rstrip()) <= manner.line_length or not isinstance(
        node, cst.ImportFrom
    ):
        return line
    return line.with_changes(
        body=[within(node, stacked([alias_node(alias) for alias in aliases], manner.indent))]
    )


def line_of(code: str) -> cst.SimpleStatementLine:
    line = cst.parse_statement(code)
    assert isinstance(line, cst.SimpleStatementLine)
    return line


def place(body: list[Statement], new: cst.SimpleStatementLine, manner: Manner) -> None:
    """Puts a new import into its group, in order where the group is in order; or makes the
    group.
    """
    node = import_of(new)
    assert node is not None
    group = section(module_of(node), manner)
    groups, mates = [], []
    lower, higher = None, None  # the last import of an earlier group, the first of a later one
    for number, line in enumerate(body[: import_zone(body)]):
        one = import_of(line)
        if not one:
            continue
        kind = section(module_of(one), manner)
        groups.append((number, kind, one))
        if kind == group:
            mates.append((number, one))
        elif kind < group:
            lower = number
        elif higher is None:
            higher = number
    apart = 1
    if is_flat(body, groups):
        apart = 0
    if mates:
        among(body, new, mates)
    elif lower is not None:
        body.insert(lower + 1, set_off(new, apart))
    elif higher is not None and group != FUTURE:
        ahead(body, new, higher, apart)
    else:
        first(body, new)


def is_flat(body: Sequence[Statement], groups: Sequence[tuple[int, int, Any]]) -> bool:
    """Whether imports of different groups follow each other without a blank line."""
    return any(
        right == left + 1 and kind != other and not blanks(body[right].leading_lines)
        for (left, kind, _), (right, other, _) in pairwise(groups)
    )


def among(
    body: list[Statement], new: cst.SimpleStatementLine, mates: list[tuple[int, Any]]
) -> None:
    node = import_of(new)
    assert node is not None
    later = len(mates)
    for key in (by_kind, by_module):
        keys = [key(one) for _, one in mates]
        if keys == sorted(keys):
            later = bisect.bisect_right(keys, key(node))
            break
    if later == 0 and body[mates[0][0]].leading_lines[blanks(body[mates[0][0]].leading_lines) :]:
        # A comment above the first import stays at the head of its group.
        later = 1
    if later == 0:
        ahead(body, new, mates[0][0], 0)
    else:
        body.insert(mates[later - 1][0] + 1, set_off(new, 0))


def ahead(body: list[Statement], new: cst.SimpleStatementLine, index: int, apart: int) -> None:
    """Before a statement, whose distance from what is above it the new one takes over."""
    distance = blanks(body[index].leading_lines)
    body[index] = set_off(body[index], apart)
    body.insert(index, set_off(new, distance))


def first(body: list[Statement], new: cst.SimpleStatementLine) -> None:
    """The first import of a module: below its docstring."""
    index = 0
    if body and is_docstring(body[0]):
        index = 1
    if index < len(body):
        definition = isinstance(body[index], cst.FunctionDef | cst.ClassDef)
        body[index] = spaced(body[index], 2 if definition else 1)
    body.insert(index, set_off(new, min(index, 1)))
