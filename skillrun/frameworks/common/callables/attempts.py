"""How often a plain callable tries by itself: a retry decorator, or a counted loop around the work.

Read only where it is sure: `tenacity` and `backoff` decorators and `for attempt in range(N): try:
...`. An attempt counter in a row, a `while` loop with a counter, another library: these are named
as unknown. Sources: tenacity (`stop_after_attempt`, `wait_exponential`: multiplier * 2**(attempt -
1) between min and max), backoff (`on_exception`: max_tries counts the first try, `expo` is factor *
base**n, full jitter by default).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from skillrun.frameworks.common.callables.callers import called
from skillrun.frameworks.common.countdown import Countdown, recognise
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import (
    Backoff,
)
from skillrun.repo.python import Definition, Module, Project, is_known
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, find_nodes
from skillrun.repo.uses import Place

_NONE = Backoff("none")
_OTHER_LIBRARIES = (
    "retrying.",
    "retry.",
    "retry2.",
    "stamina.",
    "opnieuw.",
    "redo.",
    "tenacity.",
    "backoff.",
)
_COUNTERS = re.compile(
    r"\b(?:attempts?|tries|retries|retry_count|attempt_count|fail_count|failures)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Way:
    """One way of trying again. None in `attempts`: without end; UNREAD in it: not readable."""

    place: Place
    attempts: int | None = 1
    backoff: Backoff | None = _NONE  # None: not readable
    exceptions: tuple[str, ...] | None = None  # dotted names; None: not readable
    readable: bool = True
    loop: ast.For | None = None


def find_ways(project: Project, handler: Definition) -> tuple[Way, ...]:
    """The ways of the handler and of the functions that it calls; an adapter elsewhere may mean its
    own attempts.
    """
    inner = []
    for found in called(project, handler):
        if not found.is_class:
            inner.append(found)
    ways = []
    for part in (handler, *inner):
        for way in _find_ways(project, part):
            ways.append((part, way))
    return tuple(
        way if part.path == handler.path else replace(way, readable=False) for part, way in ways
    )


def _find_ways(project: Project, part: Definition) -> Iterator[Way]:
    for node in part.decorators:
        call = None
        if isinstance(node, ast.Call):
            call = node
        name = part.module.resolve(call.func if call else node) or ""
        origin = project.origin(name)
        if origin.startswith(_OTHER_LIBRARIES):
            yield _read_decorator(project, part.module, origin, call) or Way(
                place_of(part.module, node), readable=False
            )
    for loop in ast.walk(part.node):
        if isinstance(loop, ast.For):
            yield from _read_counted_loop(project, part.module, loop)
        elif isinstance(loop, ast.While) and _tries_by_counter(loop):
            yield Way(place_of(part.module, loop), readable=False)


# Decorators


def _read_decorator(
    project: Project, module: Module, origin: str, call: ast.Call | None
) -> Way | None:
    if call is None or any(keyword.arg is None for keyword in call.keywords):
        return None
    given = {keyword.arg or "": keyword.value for keyword in call.keywords}
    if origin == "tenacity.retry" and not call.args:
        return _read_tenacity(project, module, call, given)
    if origin == "backoff.on_exception":
        return _read_backoff(project, module, call, given)
    return None


def _read_tenacity(
    project: Project, module: Module, call: ast.Call, given: dict[str, ast.expr]
) -> Way | None:
    attempts: Any = None
    if "stop" in given:
        stop = _find_making(project, module, given["stop"], "tenacity.stop_after_attempt")
        attempts = _number(project, module, stop, "max_attempt_number", 0)
        if attempts is None:
            return None
    retried: tuple[str, ...] | None = ("builtins.Exception",)
    if "retry" in given:
        condition = _find_making(
            project, module, given["retry"], "tenacity.retry_if_exception_type"
        )
        types = _pick_argument(condition, "exception_types", 0)
        retried = None
        if types is not None:
            retried = project.exception_names(types, module)
    if "wait" in given:
        wait = _tenacity_wait(project, module, given["wait"])
    else:
        wait = _NONE
    return Way(
        place_of(module, call), int(attempts) if attempts is not None else None, wait, retried
    )


def _tenacity_wait(project: Project, module: Module, node: ast.expr) -> Backoff | None:
    fixed = _find_making(project, module, node, "tenacity.wait_fixed")
    if fixed is not None:
        seconds = _number(project, module, fixed, "wait", 0)
        if seconds is None:
            return None
        return Backoff("fixed", seconds)
    for name, jitter in (("wait_exponential", False), ("wait_random_exponential", True)):
        call = _find_making(project, module, node, f"tenacity.{name}")
        if call is not None:
            given: list[float] = []
            for at, (word, default) in enumerate(_EXPO):
                number = _number(project, module, call, word, at, default)
                if number is None:
                    return None
                given.append(number)
            return _spread_exponentially(*given, jitter=jitter)
    return None


_EXPO = (("multiplier", 1.0), ("max", 4.6e18), ("exp_base", 2.0), ("min", 0.0))


def _spread_exponentially(
    multiplier: float, most: float, base: float, least: float, *, jitter: bool
) -> Backoff | None:
    """The waits as they come out between `min` and `max`."""
    shape = recognise([min(max(multiplier * base**n, least), most) for n in range(12)])
    if not shape:
        return None
    return Backoff(*shape, jitter=jitter)


def _read_backoff(
    project: Project, module: Module, call: ast.Call, given: dict[str, ast.expr]
) -> Way | None:
    if "max_time" in given or "giveup" in given:
        return None
    attempts = None
    if "max_tries" in given:
        attempts = project.literal(given["max_tries"], module)
    types = _pick_argument(call, "exception", 1)
    if not is_known(attempts) or not isinstance(attempts, int | None) or types is None:
        return None
    wait = project.origin_of(module, _pick_argument(call, "wait_gen", 0) or call)
    shape = _read_shape(project, module, wait, given)
    return Way(place_of(module, call), attempts, shape, project.exception_names(types, module))


def _read_shape(
    project: Project, module: Module, wait: str, given: dict[str, ast.expr]
) -> Backoff | None:
    """The waits of one of backoff's generators; None where they cannot be read."""
    options = {}
    for name in ("base", "factor", "max_value", "interval"):
        if name in given:
            options[name] = project.literal(given[name], module)
    if not all(isinstance(value, int | float) for value in options.values()):
        return None
    jitter = "jitter" not in given or project.literal(given["jitter"], module) is not None
    if wait == "backoff.constant":
        return Backoff("fixed", float(options.get("interval", 1)), jitter=jitter)
    if wait != "backoff.expo":
        return None
    base, factor = float(options.get("base", 2)), float(options.get("factor", 1))
    return Backoff("exponential", factor, base, options.get("max_value"), jitter)


def _find_making(project: Project, module: Module, node: ast.expr, origin: str) -> ast.Call | None:
    """The call that makes a value, where it is a call of `origin`."""
    if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
        return None
    name = module.resolve(node.func)
    if name and project.origin(name) in (origin, origin.replace("tenacity.", "tenacity.stop.")):
        return node
    return None


def _pick_argument(call: ast.Call | None, name: str, position: int) -> ast.expr | None:
    if call is None:
        return None
    named = find_keyword(call, name)
    return named or (call.args[position] if position < len(call.args) else None)


def _number(
    project: Project,
    module: Module,
    call: ast.Call | None,
    name: str,
    position: int,
    default: float | None = None,
) -> float | None:
    node = _pick_argument(call, name, position)
    if node is not None:
        value = project.literal(node, module)
    else:
        value = default
    if not isinstance(value, int | float):
        return None
    return value


# Loops


def _read_counted_loop(project: Project, module: Module, loop: ast.For) -> Iterator[Way]:
    """`for attempt in range(5): try: ...; break; except X: sleep(...)`."""
    tried = next((node for node in loop.body if isinstance(node, ast.Try)), None)
    if tried is None:
        return
    if not isinstance(loop.iter, ast.Call) or module.resolve(loop.iter.func) != "builtins.range":
        if _waits_for(loop):
            yield Way(place_of(module, loop), readable=False, loop=loop)
        return
    again = [clause for clause in tried.handlers if not _never_goes_on(clause)]
    if _ends_loop(loop, tried) and again:
        yield _read_turns(project, module, loop, loop.iter, again)


def _read_turns(
    project: Project,
    module: Module,
    loop: ast.For,
    counted: ast.Call,
    again: list[ast.ExceptHandler],
) -> Way:
    """As many attempts as a `range` has numbers."""
    bounds = [project.literal(node, module) for node in counted.args]
    if len(bounds) not in (1, 2) or not all(isinstance(bound, int) for bound in bounds):
        return Way(place_of(module, loop), readable=False, loop=loop)
    if len(bounds) == 1:
        first, past = (0, bounds[0])
    else:
        first, past = bounds
    retried: list[str] = []
    for clause in again:
        retried += project.exception_names(clause.type, module) or ("builtins.BaseException",)
    wait = _read_wait(project, module, loop, again, first)
    return Way(place_of(module, loop), max(past - first, 1), wait, tuple(retried), loop=loop)


def _waits_for(loop: ast.For) -> bool:
    """`for wait in (30, 60): try: ... except X: sleep(wait)`: its turns are attempts, and not
    pieces of work.
    """
    sleeps = (node for node in find_nodes(loop, ast.Call) if last_word(node.func) == "sleep")
    return any(ast.unparse(arg) == ast.unparse(loop.target) for call in sleeps for arg in call.args)


def _ends_loop(loop: ast.For, tried: ast.Try) -> bool:
    """A turn that succeeds ends the loop."""
    after = loop.body[loop.body.index(tried) + 1 :]
    return any(
        isinstance(node, ast.Break | ast.Return) for node in (*tried.body, *tried.orelse, *after)
    )


def _never_goes_on(clause: ast.ExceptHandler) -> bool:
    return isinstance(clause.body[-1], ast.Raise | ast.Break | ast.Return)


class _LoopWait(Countdown):
    """The waits of a loop: its variable is the number of the attempt."""

    def __init__(self, project: Project, variable: str, first: int) -> None:
        super().__init__(project, {})
        self.variable, self.first = variable, first

    def _number(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if isinstance(node, ast.Name) and node.id == self.variable:
            return retries + self.first
        return super()._number(node, module, retries, given, depth)


def _read_wait(
    project: Project, module: Module, loop: ast.For, again: list[ast.ExceptHandler], first: int
) -> Backoff | None:
    """The wait before the next turn; none where nothing sleeps."""
    sleeps = []
    for part in (*again, loop):
        for node in find_nodes(part, ast.Call):
            if last_word(node.func) == "sleep":
                sleeps.append(node)
    if not sleeps:
        return _NONE
    variable = ""
    if isinstance(loop.target, ast.Name):
        variable = loop.target.id
    if sleeps[0].args:
        return _LoopWait(project, variable, first).backoff(sleeps[0].args[0], module)
    return None


def _tries_by_counter(loop: ast.While) -> bool:
    """`while attempt < MAX: try: ...`."""
    return _COUNTERS.search(ast.unparse(loop.test)) is not None and any(
        isinstance(n, ast.Try) for n in loop.body
    )


def kept_attempts(project: Project, handler: Definition) -> Place | None:
    """Where the handler looks at a counter that it keeps outside: `WHERE attempts < 5`,
    `row.attempts >= 5`.
    """
    for call in project.calls(handler, depth=2):
        text = None
        if call.node.args:
            text = project.literal(call.node.args[0], call.module)
        if isinstance(text, str) and re.search(rf"{_COUNTERS.pattern}\s*[<>]", text, re.IGNORECASE):
            return Place(call.path, call.line, call.text)
        if any(
            re.search(rf"{_COUNTERS.pattern[:-2]}__(?:lt|lte)$", key, re.IGNORECASE)
            for key in call.keywords
        ):
            return Place(call.path, call.line, call.text)
    for part in (handler, *called(project, handler)):
        for node in find_nodes(part.node, ast.Compare):
            if _looks_at_counter(node):
                return place_of(part.module, node)
    return None


def _looks_at_counter(node: ast.Compare) -> bool:
    kept = isinstance(node.left, ast.Attribute | ast.Subscript) and _COUNTERS.search(
        ast.unparse(node.left)
    )
    return bool(kept) and isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE)
