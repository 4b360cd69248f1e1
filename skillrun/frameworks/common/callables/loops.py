"""Loops that poll: without end, with a sleep in every turn and work beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator

from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

_SLEEPS = ("sleep", "wait")
_NO_WORK = frozenset(
    {
        "sleep",
        "wait",
        "close",
        "print",
        "debug",
        "info",
        "warning",
        "error",
        "exception",
        "is_set",
        "time",
    }
)
_RUNS = re.compile(r"run|alive|active", re.IGNORECASE)
# The exit code of a command that is tried is no word of somebody who stops the loop.
_STOPS = re.compile(
    r"stop|shut|terminat|exit(?!_?(?:code|status))|quit|kill|done|finish|cancel", re.IGNORECASE
)
_EXITS = frozenset(
    {
        "exit",
        "_exit",
        "quit",
        "SystemExit",
        "execv",
        "execvp",
        "execve",
        "execvpe",
        "execl",
        "execlp",
    }
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
    """`while True:`, `while running:` and `while not stopped:`; `while not running:` waits until
    something else runs.
    """
    if isinstance(test, ast.Constant):
        return bool(test.value)
    text = ast.unparse(test)
    if _STOPS.search(text):
        return True
    return _RUNS.search(text) is not None and _find_denied(test) is None


def _find_denied(test: ast.expr) -> ast.expr | None:
    """`x` of `not x`, `x is False`, `x == 0` and `x is None`; None of any other test."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Is | ast.Eq):
        return None
    other = test.comparators[0]
    if isinstance(other, ast.Constant) and not other.value:
        return test.left
    return None


def _leaves_loop(body: list[ast.stmt]) -> bool:
    """A turn that succeeds ends the loop: `while True: try: connect(); break; except ...:
    sleep(1)`.
    """
    return any(_is_last(node) for node in _list_steps(body))


def _is_last(node: ast.stmt) -> bool:
    return isinstance(node, ast.Break | ast.Return) or _exits_program(node)


def _list_steps(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that a turn goes through where nothing goes wrong, whatever is asked."""
    for node in body:
        yield node
        if isinstance(node, ast.Try):
            yield from _list_steps([*node.body, *node.orelse])
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _list_steps(node.body)


def _exits_program(node: ast.stmt) -> bool:
    """`sys.exit(0)`, `raise SystemExit`, or the program gives its place to the one that it waited
    for.
    """
    ending: ast.expr | None = None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        ending = node.value.func
    elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        ending = node.exc.func
    elif isinstance(node, ast.Raise):
        ending = node.exc
    return ending is not None and last_word(ending) in _EXITS


def _sets_its_end(loop: ast.While) -> bool:
    """`while not done: try: connect(); done = True; except ...`: a turn that succeeds is the
    last. So is one of `while waiting: connect(); waiting = False`.
    """
    denied = _find_denied(loop.test)
    flag = denied or loop.test
    if not isinstance(flag, ast.Name):
        return False
    for node in _list_steps(loop.body):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [last_word(target) for target in node.targets]
            if flag.id in names and bool(node.value.value) == (denied is not None):
                return True
    return False


def _list_waiting_calls(loop: ast.While) -> set[int]:
    """The calls that wait for something to be there: `if is_there(): break`, `found = look(); if
    found: return`.

    A loop that ends because something is missing, or went wrong, did its work in the turns before.
    """
    given = dict(_list_given(loop))
    asking: list[ast.AST] = []
    for branch in find_nodes(loop, ast.If):
        if _leaves_loop(branch.body) and _waits_for(branch.test, given):
            asking.append(branch.test)
    # `while not database_is_running():` waits for it.
    if _find_denied(loop.test) is not None:
        asking.append(loop.test)
    # What is asked may be made in steps: `sock = socket(); code = sock.connect_ex(...)`.
    seen = set[str]()
    for node in asking:
        for name in find_nodes(node, ast.Name):
            if name.id in given and name.id not in seen:
                seen.add(name.id)
                asking += given[name.id]
    calls = [call for node in asking for call in find_nodes(node, ast.Call)]
    # `cursor.execute("..."); if cursor.fetchone(): break`: each asks the same.
    asked = {name for name in map(_name_receiver, calls) if name in given}
    for call in find_nodes(loop, ast.Call):
        if _name_receiver(call) in asked:
            calls.append(call)
    return set(map(id, calls))


def _name_receiver(call: ast.Call) -> str:
    """ "cursor" of `cursor.fetchone()`; "" of any other call."""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        return call.func.value.id
    return ""


def _list_given(loop: ast.While) -> Iterator[tuple[str, list[ast.expr]]]:
    """(name, the values that a turn gives it), by assignments, `:=` and `with ... as`."""
    values: dict[str, list[ast.expr]] = {}
    for node in find_nodes(loop, ast.Assign):
        for target in node.targets:
            values.setdefault(last_word(target), []).append(node.value)
    for item in find_nodes(loop, ast.withitem):
        if item.optional_vars is not None:
            values.setdefault(last_word(item.optional_vars), []).append(item.context_expr)
    for named in find_nodes(loop, ast.NamedExpr):
        values.setdefault(named.target.id, []).append(named.value)
    yield from values.items()


def _waits_for(test: ast.expr, given: Container[str]) -> bool:
    """Whether a test holds once something is there: `ready()`, `code == 0`, `"users" in tables`.

    One that needs an option as well (`done == 0 and options.once`) ends only where somebody says
    so: each part asks something of the turn.
    """
    if isinstance(test, ast.BoolOp):
        waits = [_waits_for(part, given) for part in test.values]
        if isinstance(test.op, ast.Or):
            return any(waits)
        return all(waits) and all(_asks_in_turn(part, given) for part in test.values)
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot | ast.Eq | ast.In)
    return not isinstance(test, ast.UnaryOp)


def _asks_in_turn(test: ast.expr, given: Container[str]) -> bool:
    """Whether a test calls something, or looks at what a turn has given a name."""
    names = {name.id for name in find_nodes(test, ast.Name)}
    return any(name in given for name in names) or any(True for _ in find_nodes(test, ast.Call))


def _list_calls(node: ast.AST, *, clauses: bool = True) -> Iterator[ast.Call]:
    """The calls below a node; `clauses`: also those in `except`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _OTHER) or (isinstance(child, ast.ExceptHandler) and not clauses):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _list_calls(child, clauses=clauses)
