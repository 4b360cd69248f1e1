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

from skillrun.skills.job_worker.scaffold.editing.sequences import (
    NO_SPACE,
    Bracketed,
    insert_element,
    stack_elements,
)
from skillrun.skills.job_worker.scaffold.editing.source import (
    Source,
    Statement,
    count_blank_lines,
    set_off,
    space_out,
)

# The groups of imports, in the order in which they stand.
FUTURE, STANDARD, THIRD_PARTY, OWN, RELATIVE = range(5)
# Folders that packages lie in, and that are no packages themselves.
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
    """How imports are written in a module. `own` are the repository's packages; the one that the
    module lies in is added.
    """
    return Manner(
        own=frozenset(own) | own_packages(source.path),
        line_length=source.line_length,
        indent=source.module.default_indent,
        code=source.module.code_for_node,
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
    """What an import names: `shop.mailer`, or `..mailer` with its leading dots."""
    if isinstance(node, cst.Import):
        return get_full_name_for_node(node.names[0].name) or ""
    name = ""
    if node.module:
        name = get_full_name_for_node(node.module) or ""
    return "." * len(node.relative) + name


def find_group(module: str, manner: Manner) -> int:
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
    """The rank of an import in the order of isort and ruff: `import x` comes first, and parents of
    a relative import before its siblings.
    """
    return (isinstance(node, cst.ImportFrom), *by_module(node))


def by_module(node: cst.Import | cst.ImportFrom) -> Any:
    """The rank of an import by its module alone, as under `force_sort_within_sections`."""
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
    end = 0
    if body and is_docstring(body[0]):
        end = 1
    for number, statement in enumerate(body[: import_zone(body)]):
        if holds_import(statement):
            end = number + 1
    return end


def holds_import(statement: Statement) -> bool:
    """Whether it is an import, or an `if` or a `try` that begins with one."""
    if import_of(statement):
        return True
    if not isinstance(statement, cst.If | cst.Try):
        return False
    block = statement.body
    if not isinstance(block, cst.IndentedBlock) or not block.body:
        return False
    return import_of(block.body[0]) is not None


def is_docstring(statement: Statement) -> bool:
    """Whether a line begins with a string that stands alone."""
    if not isinstance(statement, cst.SimpleStatementLine):
        return False
    first = statement.body[0]
    if not isinstance(first, cst.Expr):
        return False
    return isinstance(first.value, cst.SimpleString | cst.ConcatenatedString)


# -- writing


def with_imports(
    body: Sequence[Statement], missing: Sequence[Missing], manner: Manner
) -> list[Statement]:
    """The statements with the missing imports among them."""
    result = list(body)
    for one in missing:
        lonely = []
        for alias in one.aliases:
            if not join_import(result, one.statement, alias, manner):
                lonely.append(alias)
        if lonely:
            place_import(result, new_import(one, lonely, manner), manner)
    return result


def join_import(
    body: list[Statement], wanted: ast.Import | ast.ImportFrom, alias: ast.alias, manner: Manner
) -> bool:
    """Adds the name to a `from x import ...` that is there. False where there is none that it can
    be added to.
    """
    if isinstance(wanted, ast.Import):
        return False
    module = "." * wanted.level + (wanted.module or "")
    for number, statement in enumerate(body):
        node = import_of(statement)
        if not isinstance(node, cst.ImportFrom) or module_of(node) != module:
            continue
        if takes_name(node, alias):
            body[number] = statement.with_changes(body=[add_name(statement, node, alias, manner)])
            return True
    return False


def takes_name(node: cst.ImportFrom, alias: ast.alias) -> bool:
    """Whether a name may be added to an import: isort and ruff keep `from x import y as z` on a
    line of its own.
    """
    if isinstance(node.names, cst.ImportStar):
        return False
    has_renamed = any(name.asname is not None for name in node.names)
    if alias.asname is None:
        return not has_renamed
    # Unless such names stand together here.
    return len(node.names) > 1 and has_renamed


def add_name(
    statement: Statement, node: cst.ImportFrom, alias: ast.alias, manner: Manner
) -> cst.ImportFrom:
    """`from x import y` with one more name, in parentheses where the line gets too long."""
    assert not isinstance(node.names, cst.ImportStar)
    names = [(get_full_name_for_node(name.name) or "") for name in node.names]
    opening = closing = NO_SPACE
    if node.lpar:
        opening = node.lpar.whitespace_after
    if node.rpar:
        closing = node.rpar.whitespace_before
    there = Bracketed(opening, tuple(node.names), closing)
    longer = insert_element(
        there, alias_node(alias), find_position(names, alias.name), manner.indent
    )
    if node.lpar:
        result = put_in_parentheses(node, longer)
    else:
        result = node.with_changes(names=longer.elements)
    line = manner.code(statement.with_changes(leading_lines=(), body=[result]))
    if "\n" in line.rstrip() or len(line.rstrip()) <= manner.line_length or "\\" in line:
        return result
    bare = [name.with_changes(comma=cst.MaybeSentinel.DEFAULT) for name in longer.elements]
    return put_in_parentheses(node, stack_elements(bare, manner.indent))


def put_in_parentheses(node: cst.ImportFrom, names: Bracketed) -> cst.ImportFrom:
    """The import with these names in parentheses."""
    return node.with_changes(
        names=names.elements,
        lpar=(node.lpar or cst.LeftParen()).with_changes(whitespace_after=names.opening),
        rpar=(node.rpar or cst.RightParen()).with_changes(whitespace_before=names.closing),
    )


def find_position(names: Sequence[str], new: str) -> int:
    """Where a name goes among others: in order where they are in one of the usual orders, else
    last.
    """
    orders: tuple[Callable[[str], Any], ...] = (rank_by_case, str.lower, str)
    for key in orders:
        keys = list(map(key, names))
        if keys == sorted(keys):
            return bisect.bisect_right(keys, key(new))
    return len(names)


def rank_by_case(name: str) -> tuple[int, str, str]:
    """The rank of a name in isort's order: CONSTANTS, Classes, functions."""
    constant, class_name, function = range(3)
    kind = function
    if name.isupper() and len(name) > 1:
        kind = constant
    elif name[:1].isupper():
        kind = class_name
    return kind, name.lower(), name


def alias_node(alias: ast.alias) -> cst.ImportAlias:
    """The concrete node of a name that an import brings."""
    asname = None
    if alias.asname:
        asname = cst.AsName(cst.Name(alias.asname))
    name = cst.parse_expression(alias.name)
    assert isinstance(name, cst.Attribute | cst.Name)
    return cst.ImportAlias(name, asname)


def new_import(
    missing: Missing, aliases: Sequence[ast.alias], manner: Manner
) -> cst.SimpleStatementLine:
    """An import on a line of its own. Where nothing of the template's is there, its own line is
    taken, comments too.
    """
    if missing.node and len(aliases) == len(missing.statement.names):
        return missing.node
    names = ", ".join(ast.unparse(alias) for alias in aliases)
    wanted = missing.statement
    if isinstance(wanted, ast.Import):
        return line_of(f"import {names}")
    line = line_of(f"from {'.' * wanted.level}{wanted.module or ''} import {names}")
    node = import_of(line)
    is_short = len(manner.code(line).rstrip()) <= manner.line_length
    if is_short or not isinstance(node, cst.ImportFrom):
        return line
    stacked = stack_elements([alias_node(alias) for alias in aliases], manner.indent)
    return line.with_changes(body=[put_in_parentheses(node, stacked)])


def line_of(code: str) -> cst.SimpleStatementLine:
    """The concrete node of a simple statement."""
    line = cst.parse_statement(code)
    assert isinstance(line, cst.SimpleStatementLine)
    return line


def place_import(body: list[Statement], new: cst.SimpleStatementLine, manner: Manner) -> None:
    """Puts a new import into its group, in order where the group is in order; or makes the
    group.
    """
    node = import_of(new)
    assert node is not None
    group = find_group(module_of(node), manner)
    groups, mates = [], []
    lower, higher = None, None  # the last import of an earlier group, the first of a later one
    for number, line in enumerate(body[: import_zone(body)]):
        one = import_of(line)
        if not one:
            continue
        kind = find_group(module_of(one), manner)
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
        insert_among(body, new, mates)
    elif lower is not None:
        body.insert(lower + 1, set_off(new, apart))
    elif higher is not None and group != FUTURE:
        insert_ahead(body, new, higher, apart)
    else:
        insert_first_import(body, new)


def is_flat(body: Sequence[Statement], groups: Sequence[tuple[int, int, Any]]) -> bool:
    """Whether imports of different groups follow each other without a blank line."""
    for (upper, kind, _), (lower, other, _) in pairwise(groups):
        if lower != upper + 1 or kind == other:
            continue
        if not count_blank_lines(body[lower].leading_lines):
            return True
    return False


def insert_among(
    body: list[Statement], new: cst.SimpleStatementLine, mates: list[tuple[int, Any]]
) -> None:
    """Inserts an import among those of its group: in order where they are in one of the usual
    orders, else last. `mates` are those, each with its index.
    """
    node = import_of(new)
    assert node is not None
    earlier = len(mates)  # so many come before it
    for key in (by_kind, by_module):
        keys = [key(one) for _, one in mates]
        if keys == sorted(keys):
            earlier = bisect.bisect_right(keys, key(node))
            break
    first_index = mates[0][0]
    above_first = body[first_index].leading_lines
    # A comment above the first import stays at the head of its group.
    if earlier == 0 and above_first[count_blank_lines(above_first) :]:
        earlier = 1
    if earlier == 0:
        insert_ahead(body, new, first_index, 0)
    else:
        body.insert(mates[earlier - 1][0] + 1, set_off(new, 0))


def insert_ahead(
    body: list[Statement], new: cst.SimpleStatementLine, index: int, apart: int
) -> None:
    """Inserts an import before a statement, and gives it that one's distance from what is above.
    `apart` blank lines stand between the two.
    """
    distance = count_blank_lines(body[index].leading_lines)
    body[index] = set_off(body[index], apart)
    body.insert(index, set_off(new, distance))


def insert_first_import(body: list[Statement], new: cst.SimpleStatementLine) -> None:
    """Inserts the first import of a module: below its docstring."""
    index = 0
    if body and is_docstring(body[0]):
        index = 1
    if index < len(body):
        blank_lines = 1
        if isinstance(body[index], cst.FunctionDef | cst.ClassDef):
            blank_lines = 2
        body[index] = space_out(body[index], blank_lines)
    # A blank line stands between it and the docstring.
    body.insert(index, set_off(new, min(index, 1)))
