"""Loops that poll: without end, with a sleep in every turn and work beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.repo.source import last_word

_SLEEPS = ("sleep", "wait")
_NO_WORK = frozenset({"sleep", "wait", "print", "debug", "info", "warning", "error", "exception", "is_set", "time"})
_GOES_ON = re.compile(r"run|stop|shut|alive|active|terminat|exit|quit|kill|done|cancel", re.IGNORECASE)
_OTHER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def poll_loops(tree: ast.AST) -> Iterator[ast.While]:
    """The loops in a module or function that poll. One that waits until something is there, then ends, is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.While) and polls(node):
            yield node


def polls(loop: ast.While) -> bool:
    """It runs until it is told to stop, sleeps outside of its `except` clauses, and calls something."""
    if not _endless(loop.test) or _leaves(loop.body):
        return False
    words = [last_word(call.func) for call in _calls(loop)]
    sleeps = any(
        last_word(call.func) in _SLEEPS and (call.args or call.keywords) for call in _calls(loop, clauses=False)
    )
    return sleeps and any(word not in _NO_WORK for word in words)


def _endless(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return _GOES_ON.search(ast.unparse(test)) is not None


def _leaves(body: list[ast.stmt]) -> bool:
    """A turn that succeeds ends the loop: `while True: try: connect(); break; except ...: sleep(1)`."""
    for node in body:
        if isinstance(node, ast.Break | ast.Return):
            return True
        if isinstance(node, ast.Try) and (_leaves(node.body) or _leaves(node.orelse)):
            return True
    return False


def _calls(node: ast.AST, *, clauses: bool = True) -> Iterator[ast.Call]:
    """The calls below a node; `clauses`: also those in `except`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _OTHER) or (isinstance(child, ast.ExceptHandler) and not clauses):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls(child, clauses=clauses)
