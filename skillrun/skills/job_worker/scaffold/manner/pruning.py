"""Takes out of a module the imports of names that nothing uses any more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import TypeGuard

_WORD = re.compile(r"[A-Za-z_]\w*")
# A text that could be a name, or a quoted annotation.
_NAMES = re.compile(r"[\w.\[\], |]+")


def prune(source: str, names: Iterable[str], line_length: int) -> str:
    """The source without the top-level imports of those names that it does not use; with them a
    block that they filled.

    An import that keeps some of its names is written anew, in one line where that fits.
    """
    module, lines = ast.parse(source), source.splitlines(keepends=True)
    going = set(names) - _list_used_names(module)
    edits = dict(_plan_edits(module, going, lines, line_length))
    if not edits:
        return source
    text = _make_edits(lines, edits)
    # What went may have been the last that used these.
    return prune(text, {*names, "TYPE_CHECKING", "typing"}, line_length)


def _list_used_names(module: ast.Module) -> set[str]:
    """The names that a module uses, also within texts that may be annotations or names."""
    names: set[str] = set()
    for node in ast.walk(module):
        text = None
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant):
            text = node.value
        if isinstance(text, str) and _NAMES.fullmatch(text):
            names.update(_WORD.findall(text))
    return names


def _plan_edits(
    module: ast.Module, going: set[str], lines: list[str], line_length: int
) -> Iterator[tuple[range, str]]:
    """(its lines counted from 0, what stands there instead) for each import that loses names."""
    annotated = any(_has_annotation(node) for node in ast.walk(module))
    for node in module.body:
        if not _is_for_types(node):
            yield from _plan_edits_of([node], going, annotated, lines, line_length)
        elif all(_goes(statement, going, annotated) for statement in node.body):
            yield _lines_of(node), ""
        else:
            yield from _plan_edits_of(node.body, going, annotated, lines, line_length)


def _has_annotation(node: ast.AST) -> bool:
    """Whether it has anything that `from __future__ import annotations` is for."""
    held = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return any(isinstance(one, ast.expr) for one in held)


def _is_for_types(node: ast.stmt) -> TypeGuard[ast.If]:
    """Whether it is `if TYPE_CHECKING:` without an else."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def _plan_edits_of(
    body: list[ast.stmt], going: set[str], annotated: bool, lines: list[str], line_length: int
) -> Iterator[tuple[range, str]]:
    """The edits of the imports in one block."""
    for node in body:
        if not isinstance(node, ast.Import | ast.ImportFrom) or not _stands_alone(node, lines):
            continue
        kept = []
        for alias in node.names:
            if not _alias_goes(node, alias, going, annotated):
                kept.append(alias)
        if not kept:
            yield _lines_of(node), ""
        elif len(kept) < len(node.names):
            yield _lines_of(node), _write_import(node, kept, line_length)


def _goes(node: ast.stmt, going: set[str], annotated: bool) -> bool:
    """Whether it is an import of which nothing is left."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    return all(_alias_goes(node, alias, going, annotated) for alias in node.names)


def _alias_goes(
    node: ast.Import | ast.ImportFrom, alias: ast.alias, going: set[str], annotated: bool
) -> bool:
    """Whether a name of an import goes. That of `from __future__ import annotations` does where
    nothing is annotated.
    """
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return alias.name == "annotations" and not annotated
    bound = alias.asname
    if not bound and isinstance(node, ast.Import):
        bound = alias.name.partition(".")[0]
    return (bound or alias.name) in going


def _lines_of(node: ast.stmt) -> range:
    """The lines of a statement, counted from 0."""
    return range(node.lineno - 1, node.end_lineno or node.lineno)


def _stands_alone(node: ast.stmt, lines: list[str]) -> bool:
    """Whether no other statement shares its lines, and no comment stands in them."""
    text = "".join(lines[number] for number in _lines_of(node))
    before = lines[node.lineno - 1][: node.col_offset]
    return not before.strip() and "#" not in text and ";" not in text


def _write_import(
    node: ast.Import | ast.ImportFrom, names: list[ast.alias], line_length: int
) -> str:
    """The import with those names alone: in one line, or a name a line."""
    indent = " " * node.col_offset
    line = indent + ast.unparse(_with_names(node, names))
    if len(line) <= line_length or isinstance(node, ast.Import):
        return f"{line}\n"
    listed = "".join(f"{indent}    {ast.unparse(alias)},\n" for alias in names)
    return f"{line.partition(' import ')[0]} import (\n{listed}{indent})\n"


def _with_names(
    node: ast.Import | ast.ImportFrom, names: list[ast.alias]
) -> ast.Import | ast.ImportFrom:
    """The import with those names alone, as a node."""
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, names, node.level)


def _make_edits(lines: list[str], edits: dict[range, str]) -> str:
    """The lines with the edits made; of the blank lines around one that went, the longer run
    stays.
    """
    kept: list[str] = []
    number = 0
    starts = {where.start: (where, text) for where, text in edits.items()}
    while number < len(lines):
        where, text = starts.get(number, (range(number, number + 1), lines[number]))
        number = where.stop
        if text:
            kept.append(text)
        else:
            number = _skip_blank_lines(lines, number, kept)
    return "".join(kept)


def _skip_blank_lines(lines: list[str], number: int, kept: list[str]) -> int:
    """The next line to keep: as many blank lines are left out as stand before it already, and all
    of them at the beginning.
    """
    before = len(lines)
    if kept:
        before = len(kept) - len("".join(kept).rstrip("\n").splitlines())
    while before and number < len(lines) and not lines[number].strip():
        number, before = number + 1, before - 1
    return number
