"""What a poll does with the handler that it calls for each row: whether the call can stand for a
message, since nothing comes after it.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from types import FrameType

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOGGING = ("debug", "info", "warning", "error", "exception", "critical", "log")


def goes_on(frame: FrameType | None) -> bool:
    """Whether a function uses what the call on its way gives back, catches what it raises and does
    something about it, or does more for this row when it is done. `frame`: of the function; None
    where an event loop calls.
    """
    if frame is None:
        return False
    way = _find_way(_read_tree(frame.f_code.co_filename), frame.f_lineno)
    if not isinstance(way[-1], ast.Expr):
        return True
    steps = zip(way, way[1:], strict=False)
    return any(itertools.starmap(_does_more, _within_row(list(steps))))


def _read_tree(file: str) -> ast.AST:
    """The code of a file; nothing where it cannot be read."""
    try:
        with open(file, "rb") as source:
            return ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _within_row(steps: list[tuple[ast.AST, ast.AST]]) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(statement, the one inside of it), the innermost first, up to the loop over the rows."""
    for parent, statement in reversed(steps):
        yield parent, statement
        if isinstance(parent, (*_LOOPS, *_FUNCTIONS)):
            return


def _find_way(tree: ast.AST, line: int) -> list[ast.AST]:
    """The statements around a line, the outermost first."""
    way = [tree]
    while True:
        inner = next(filter(lambda node: _has_line(node, line), _list_inner(way[-1])), None)
        if inner is None:
            return way
        way.append(inner)


def _list_inner(node: ast.AST) -> list[ast.AST]:
    """The statements and clauses right inside of one."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.match_case):
            found += child.body
        elif isinstance(child, (ast.stmt, ast.ExceptHandler)):
            found.append(child)
    return found


def _has_line(node: ast.AST, line: int) -> bool:
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
    return first <= line <= last


def _does_more(parent: ast.AST, statement: ast.AST) -> bool:
    """Whether anything but a record or a counter stands behind a statement, or in the clauses of
    its `try`.
    """
    behind: list[ast.stmt] = []
    for _, block in ast.iter_fields(parent):
        if isinstance(block, list) and statement in block:
            behind += block[block.index(statement) + 1 :]
    if isinstance(parent, ast.Try) and statement in parent.body:
        behind = [*behind, *parent.orelse, *parent.finalbody]
        for handler in parent.handlers:
            behind += handler.body
    return not all(map(_is_quiet, behind))


def _is_quiet(statement: ast.AST) -> bool:
    """Whether a statement only writes a record, counts, or goes on with the next row."""
    if isinstance(statement, (ast.Pass, ast.Continue, ast.ExceptHandler, ast.AugAssign)):
        return True
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    called = statement.value.func
    return isinstance(called, ast.Attribute) and called.attr in _LOGGING
