"""Loops that poll: without end, with a sleep in every turn and work beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

_SLEEPS = ("sleep", "wait")
_NO_WORK = frozenset(
    {"sleep", "wait", "print", "debug", "info", "warning", "error", "exception", "is_set", "time"}
)
_GOES_ON = re.compile(
    r"run|stop|shut|alive|active|terminat|exit|quit|kill|done|cancel", re.IGNORECASE
)
_EXITS = frozenset(
    {"exit", "_exit", "quit", "execv", "execvp", "execve", "execvpe", "execl", "execlp"}
)
_OTHER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def poll_loops(tree: ast.AST) -> Iterator[ast.While]:
    """The loops in a module or function that poll. One that waits until something is there, then
    ends, is none.
    """
    for node in find_nodes(tree, ast.While):
        if polls(node):
            yield node


def polls(loop: ast.While) -> bool:
    """It runs until it is told to stop, sleeps outside of its `except` clauses, and calls
    something.
    """
    if not _is_endless(loop.test) or _leaves_loop(loop.body) or _sets_its_end(loop):
        return False
    asked = _list_waiting_calls(loop)
    words = []
    for call in _list_calls(loop):
        if id(call) not in asked:
            words.append(last_word(call.func))
    sleeps = any(
        last_word(call.func) in _SLEEPS and (call.args or call.keywords)
        for call in _list_calls(loop, clauses=False)
    )
    return sleeps and any(word not in _NO_WORK for word in words)


def _is_endless(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return _GOES_ON.search(ast.unparse(test)) is not None


def _leaves_loop(body: list[ast.stmt]) -> bool:
    """A turn that succeeds ends the loop: `while True: try: connect(); break; except ...:
    sleep(1)`.
    """
    for node in body:
        if isinstance(node, ast.Break | ast.Return) or _exits_program(node):
            return True
        if isinstance(node, ast.Try) and (_leaves_loop(node.body) or _leaves_loop(node.orelse)):
            return True
    return False


def _exits_program(node: ast.stmt) -> bool:
    """`sys.exit(0)`, or the program gives its place to the one that it waited for."""
    call = None
    if isinstance(node, ast.Expr):
        call = node.value
    return isinstance(call, ast.Call) and last_word(call.func) in _EXITS


def _sets_its_end(loop: ast.While) -> bool:
    """`while not done: try: connect(); done = True; except ...`: a turn that succeeds is the
    last.
    """
    test = loop.test
    if not isinstance(test, ast.UnaryOp) or not isinstance(test.operand, ast.Name):
        return False
    turns = [*loop.body]
    for node in loop.body:
        if isinstance(node, ast.Try):
            turns += [*node.body, *node.orelse]
    for node in turns:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [last_word(target) for target in node.targets]
            if test.operand.id in names and node.value.value:
                return True
    return False


def _list_waiting_calls(loop: ast.While) -> set[int]:
    """The calls that wait for something to be there: `if is_there(): break`, `found = look(); if
    found: return`.

    A loop that ends because something is missing, or went wrong, did its work in the turns before.
    """
    ends = [node.test for node in find_nodes(loop, ast.If) if _leaves_loop(node.body)]
    tests = []
    for test in map(_strip_await, ends):
        if _is_positive(test):
            tests.append(test)
    names = {node.id for test in tests for node in find_nodes(test, ast.Name)}
    asking: list[ast.AST] = [*tests]
    # `while not database_is_running():` waits for it.
    if isinstance(loop.test, ast.UnaryOp):
        asking.append(loop.test)
    for node in find_nodes(loop, ast.Assign):
        if {last_word(target) for target in node.targets} <= names:
            asking.append(node.value)
    return {id(call) for node in asking for call in find_nodes(node, ast.Call)}


def _strip_await(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Await):
        return node.value
    return node


def _is_positive(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot)
    return isinstance(test, ast.Name | ast.Call)


def _list_calls(node: ast.AST, *, clauses: bool = True) -> Iterator[ast.Call]:
    """The calls below a node; `clauses`: also those in `except`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _OTHER) or (isinstance(child, ast.ExceptHandler) and not clauses):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _list_calls(child, clauses=clauses)
