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
    going = set(names) - _used(module)
    edits = dict(_edits(module, going, lines, line_length))
    if not edits:
        return source
    text = _without(lines, edits)
    return prune(text, {*names, "TYPE_CHECKING", "typing"}, line_length)


def _used(module: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _NAMES.fullmatch(node.value)
        ):
            found |= set(_WORD.findall(node.value))
    return found


def _edits(
    module: ast.Module, going: set[str], lines: list[str], line_length: int
) -> Iterator[tuple[range, str]]:
    """(lines counted from 0, what stands there instead) of each import that loses names."""
    annotated = any(_has_annotation(node) for node in ast.walk(module))
    for node in module.body:
        if _is_for_types(node):
            kept = []
            for one in node.body:
                if not _goes(one, going, annotated):
                    kept.append(one)
            if not kept:
                yield _range(node), ""
                continue
            yield from _of_body(node.body, going, annotated, lines, line_length)
        else:
            yield from _of_body([node], going, annotated, lines, line_length)


def _has_annotation(node: ast.AST) -> bool:
    """Anything that `from __future__ import annotations` is for."""
    held = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return any(isinstance(one, ast.expr) for one in held)


def _is_for_types(node: ast.stmt) -> TypeGuard[ast.If]:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test).endswith("TYPE_CHECKING")
    )


def _of_body(
    body: list[ast.stmt], going: set[str], annotated: bool, lines: list[str], line_length: int
) -> Iterator[tuple[range, str]]:
    for node in body:
        if not isinstance(node, ast.Import | ast.ImportFrom) or not _stands_alone(node, lines):
            continue
        kept = []
        for alias in node.names:
            if not _alias_goes(node, alias, going, annotated):
                kept.append(alias)
        if not kept:
            yield _range(node), ""
        elif len(kept) < len(node.names):
            yield _range(node), _written(node, kept, line_length)


def _goes(node: ast.stmt, going: set[str], annotated: bool) -> bool:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    return all(_alias_goes(node, alias, going, annotated) for alias in node.names)


def _alias_goes(
    node: ast.Import | ast.ImportFrom, alias: ast.alias, going: set[str], annotated: bool
) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return alias.name == "annotations" and not annotated
    bound = alias.asname or (
        alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name
    )
    return bound in going


def _range(node: ast.stmt) -> range:
    return range(node.lineno - 1, node.end_lineno or node.lineno)


def _stands_alone(node: ast.stmt, lines: list[str]) -> bool:
    """No other statement shares its lines, and no comment stands in them."""
    text = "".join(lines[number] for number in _range(node))
    return (
        not lines[node.lineno - 1][: node.col_offset].strip()
        and "#" not in text
        and ";" not in text
    )


def _written(node: ast.Import | ast.ImportFrom, names: list[ast.alias], line_length: int) -> str:
    """The import with those names alone: in one line, or a name a line."""
    start = " " * node.col_offset
    one = start + ast.unparse(_with_names(node, names))
    if len(one) <= line_length or isinstance(node, ast.Import):
        return f"{one}\n"
    held = "".join(f"{start}    {ast.unparse(alias)},\n" for alias in names)
    return f"{one.partition(' import ')[0]} import (\n{held}{start})\n"


def _with_names(
    node: ast.Import | ast.ImportFrom, names: list[ast.alias]
) -> ast.Import | ast.ImportFrom:
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, names, node.level)


def _without(lines: list[str], edits: dict[range, str]) -> str:
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
            kept += [text]
        if not text:
            number = _over_blank(lines, number, kept)
    return "".join(kept)


def _over_blank(lines: list[str], number: int, kept: list[str]) -> int:
    """The next line to keep: those blank lines are left out that stand before it already; all at
    the beginning.
    """
    if kept:
        before = len(kept) - len("".join(kept).rstrip("\n").splitlines())
    else:
        before = len(lines)
    while before and number < len(lines) and not lines[number].strip():
        number, before = number + 1, before - 1
    return number
