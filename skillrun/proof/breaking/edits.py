"""Writes into the source of a handler where it can be broken: which break is active is decided when
it runs.

One edited text serves the unbroken run and every break, so that the unbroken run tries the edits
too. The file is written anew from its syntax tree: its lines move, what it does stays the same.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
_RUNTIME = "__import__('skillrun_broken')"
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True)
class Span:
    """The place of an expression, as `ast` counts."""

    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def of(cls, node: ast.expr) -> Span:
        """The place of a parsed expression."""
        return cls(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


@dataclass(frozen=True)
class FileEdit:
    """What is changed in one file. Functions are known by the line of their `def`."""

    handlers: frozenset[int] = frozenset()  # the handler itself
    # Functions that it calls and that catch its errors to try again.
    helpers: frozenset[int] = frozenset()
    # What means an effect -> whether it is awaited.
    effects: Mapping[Span, bool] = field(default_factory=dict)


def edited(source: bytes, edit: FileEdit) -> str:
    """The text of a file with the edit. Raises SyntaxError or ValueError where Python cannot read
    it.
    """
    tree = _Effects(edit.effects).visit(parse_source(source))
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.lineno in edit.handlers | edit.helpers:
            _guard_tries(node)
            if node.lineno in edit.handlers:
                _guard_body(node)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def parse_source(source: bytes) -> ast.Module:
    """Not `repo.syntax.parse_python`, which rewrites what is newer: this text is going to run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the repository's code
        return ast.parse(source)


class _Effects(ast.NodeTransformer):
    """`mailer.send` becomes `(<what stands in for it> or mailer.send)`."""

    def __init__(self, effects: Mapping[Span, bool]) -> None:
        self.effects = effects

    def _replaced(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        awaited = self.effects.get(Span.of(node))
        if awaited is None:
            return node
        return ast.BoolOp(ast.Or(), [call_runtime(f"dropping({awaited})"), node])

    visit_Name = visit_Attribute = _replaced


def _guard_body(function: Function) -> None:
    """The function says that it begins; a declared error that leaves it is swallowed or turned, as
    the break says.
    """
    start = 1 if ast.get_docstring(function, clean=False) is not None else 0
    body = function.body[start:] or [ast.Pass()]
    guarded = ast.Try(body=body, handlers=[_swallowing(), _turning()], orelse=[], finalbody=[])
    function.body[start:] = [ast.Expr(call_runtime("reached()")), guarded]


def _guard_tries(function: Function) -> None:
    """The function's own `except` clauses come second: they would try again what the break
    swallows.
    """
    for node in _own_tries(function):
        turned = ast.Try(body=node.body, handlers=[_turning()], orelse=[], finalbody=[])
        node.body = [turned]
        node.handlers.insert(0, _swallowing())


def _own_tries(function: Function) -> list[ast.Try]:
    found: list[ast.Try] = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try) and node.handlers:
            found.append(node)
        if not isinstance(node, _INNER):
            waiting += ast.iter_child_nodes(node)
    return found


def _swallowing() -> ast.ExceptHandler:
    return ast.ExceptHandler(
        type=call_runtime("met('swallow')"), name=None, body=[ast.Return(value=None)]
    )


def _turning() -> ast.ExceptHandler:
    return ast.ExceptHandler(
        type=call_runtime("met('turn')"),
        name=None,
        body=[ast.Raise(exc=call_runtime("turned()"), cause=None)],
    )


def call_runtime(text: str) -> ast.expr:
    """A call of what runs with the tests."""
    return ast.parse(f"{_RUNTIME}.{text}", mode="eval").body
