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

from skillrun.frameworks.common.callables.callers import called
from skillrun.frameworks.common.countdown import Countdown, recognise
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Backoff
from skillrun.repo.python import Definition, Module, Project, is_known
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, find_nodes, has_spread
from skillrun.repo.uses import Place

_NONE = Backoff("none")
_RETRY_LIBRARIES = (
    "retrying.",
    "retry.",
    "retry2.",
    "stamina.",
    "opnieuw.",
    "redo.",
    "tenacity.",
    "backoff.",
)
_COUNTER_NAME = r"\b(?:attempts?|tries|retries|retry_count|attempt_count|fail_count|failures)"
_COUNTERS = re.compile(rf"{_COUNTER_NAME}\b", re.IGNORECASE)
# "WHERE attempts < 5"
_COUNTER_IN_SQL = re.compile(rf"{_COUNTER_NAME}\b\s*[<>]", re.IGNORECASE)
# The keyword in Django's `.filter(attempts__lt=5)`.
_COUNTER_IN_FILTER = re.compile(rf"{_COUNTER_NAME}__(?:lt|lte)$", re.IGNORECASE)


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
    functions = [handler]
    for function in called(project, handler):
        if not function.is_class:
            functions.append(function)
    ways = []
    for function in functions:
        for way in _find_ways(project, function):
            if function.path != handler.path:
                way = replace(way, readable=False)
            ways.append(way)
    return tuple(ways)


def _find_ways(project: Project, part: Definition) -> Iterator[Way]:
    """The ways that one function has by itself, its decorators first."""
    for decorator in part.decorators:
        call, named = None, decorator
        if isinstance(decorator, ast.Call):
            call, named = decorator, decorator.func
        origin = project.origin(part.module.resolve(named) or "")
        if not origin.startswith(_RETRY_LIBRARIES):
            continue
        way = _read_decorator(project, part.module, origin, call)
        yield way or Way(place_of(part.module, decorator), readable=False)
    for loop in ast.walk(part.node):
        if isinstance(loop, ast.For):
            yield from _read_counted_loop(project, part.module, loop)
        elif isinstance(loop, ast.While) and _tries_by_counter(loop):
            yield Way(place_of(part.module, loop), readable=False)


# Decorators


def _read_decorator(
    project: Project, module: Module, origin: str, call: ast.Call | None
) -> Way | None:
    """The way that a decorator of tenacity or backoff says; None where it cannot be read."""
    if call is None or has_spread(call):
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
    """`@retry(stop=stop_after_attempt(5), wait=wait_fixed(3))`. Without `stop` it tries for ever,
    without `wait` at once, without `retry` after any exception.
    """
    attempts = None
    if "stop" in given:
        stop = _find_making(project, module, given["stop"], "tenacity.stop_after_attempt")
        limit = _read_number(project, module, stop, "max_attempt_number", 0)
        if limit is None:
            return None
        attempts = int(limit)
    retried: tuple[str, ...] | None = ("builtins.Exception",)
    if "retry" in given:
        condition = _find_making(
            project, module, given["retry"], "tenacity.retry_if_exception_type"
        )
        types = _pick_argument(condition, "exception_types", 0)
        retried = None
        if types is not None:
            retried = project.exception_names(types, module)
    wait: Backoff | None = _NONE
    if "wait" in given:
        wait = _read_tenacity_wait(project, module, given["wait"])
    return Way(place_of(module, call), attempts, wait, retried)


def _read_tenacity_wait(project: Project, module: Module, node: ast.expr) -> Backoff | None:
    """`wait_fixed(3)`, `wait_exponential(max=60)`; None for what cannot be read, as a
    sum of two.
    """
    fixed = _find_making(project, module, node, "tenacity.wait_fixed")
    if fixed is not None:
        seconds = _read_number(project, module, fixed, "wait", 0)
        if seconds is None:
            return None
        return Backoff("fixed", seconds)
    for name, jitter in (("wait_exponential", False), ("wait_random_exponential", True)):
        call = _find_making(project, module, node, f"tenacity.{name}")
        if call is None:
            continue
        numbers: list[float] = []
        for position, (word, default) in enumerate(_EXPONENTIAL_PARAMETERS):
            number = _read_number(project, module, call, word, position, default)
            if number is None:
                return None
            numbers.append(number)
        return _spread_exponentially(*numbers, jitter=jitter)
    return None


# (name, default) of wait_exponential's parameters, in their order.
_EXPONENTIAL_PARAMETERS = (
    ("multiplier", 1.0),
    ("max", 4.6e18),  # tenacity's own: sys.maxsize / 2
    ("exp_base", 2.0),
    ("min", 0.0),
)
_TRIES = 12  # so many waits show whether they grow, and where they stop to


def _spread_exponentially(
    multiplier: float, most: float, base: float, least: float, *, jitter: bool
) -> Backoff | None:
    """The waits as they come out between `min` and `max`."""
    waits = []
    for number in range(_TRIES):
        wait = max(multiplier * base**number, least)
        waits.append(min(wait, most))
    shape = recognise(waits)
    if not shape:
        return None
    return Backoff(*shape, jitter=jitter)


def _read_backoff(
    project: Project, module: Module, call: ast.Call, given: dict[str, ast.expr]
) -> Way | None:
    """`@backoff.on_exception(backoff.expo, Timeout, max_tries=5)`."""
    # A time or a function of the repository's own ends it then.
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
    if not isinstance(node, ast.Call) or has_spread(node):
        return None
    name = module.resolve(node.func)
    if name and project.origin(name) in (origin, origin.replace("tenacity.", "tenacity.stop.")):
        return node
    return None


def _pick_argument(call: ast.Call | None, name: str, position: int) -> ast.expr | None:
    """An argument by its name, else by its position."""
    if call is None:
        return None
    named = find_keyword(call, name)
    if named is None and position < len(call.args):
        return call.args[position]
    return named


def _read_number(
    project: Project,
    module: Module,
    call: ast.Call | None,
    name: str,
    position: int,
    default: float | None = None,
) -> float | None:
    """The number that an argument is given, or else its default; None where it is no constant."""
    node = _pick_argument(call, name, position)
    value: object = default
    if node is not None:
        value = project.literal(node, module)
    if not isinstance(value, int | float):
        return None
    return value


# Loops


def _read_counted_loop(project: Project, module: Module, loop: ast.For) -> Iterator[Way]:
    """`for attempt in range(5): try: ...; break; except X: sleep(...)`."""
    tries = [node for node in loop.body if isinstance(node, ast.Try)]
    if not tries:
        return
    tried = tries[0]
    if not isinstance(loop.iter, ast.Call) or module.resolve(loop.iter.func) != "builtins.range":
        if _waits_for(loop):
            yield Way(place_of(module, loop), readable=False, loop=loop)
        return
    going_on = [clause for clause in tried.handlers if not _never_goes_on(clause)]
    if _ends_loop(loop, tried) and going_on:
        yield _read_turns(project, module, loop, loop.iter, going_on)


def _read_turns(
    project: Project,
    module: Module,
    loop: ast.For,
    counted: ast.Call,
    going_on: list[ast.ExceptHandler],
) -> Way:
    """As many attempts as a `range` has numbers; `going_on` are the clauses that let the next turn
    begin.
    """
    bounds = [project.literal(node, module) for node in counted.args]
    if len(bounds) not in (1, 2) or not all(isinstance(bound, int) for bound in bounds):
        return Way(place_of(module, loop), readable=False, loop=loop)
    first, past = 0, bounds[-1]
    if len(bounds) == 2:
        first = bounds[0]
    retried: list[str] = []
    for clause in going_on:
        # `except:` catches everything.
        retried += project.exception_names(clause.type, module) or ("builtins.BaseException",)
    wait = _read_wait(project, module, loop, going_on, first)
    return Way(place_of(module, loop), max(past - first, 1), wait, tuple(retried), loop=loop)


def _find_sleeps(node: ast.AST) -> Iterator[ast.Call]:
    """The calls of a function named `sleep`."""
    for call in find_nodes(node, ast.Call):
        if last_word(call.func) == "sleep":
            yield call


def _waits_for(loop: ast.For) -> bool:
    """`for wait in (30, 60): try: ... except X: sleep(wait)`: its turns are attempts, and not
    pieces of work.
    """
    variable = ast.unparse(loop.target)
    return any(variable in map(ast.unparse, call.args) for call in _find_sleeps(loop))


def _ends_loop(loop: ast.For, tried: ast.Try) -> bool:
    """Whether a turn that succeeds ends the loop."""
    after = loop.body[loop.body.index(tried) + 1 :]
    on_success = (*tried.body, *tried.orelse, *after)
    return any(isinstance(node, ast.Break | ast.Return) for node in on_success)


def _never_goes_on(clause: ast.ExceptHandler) -> bool:
    """Whether a clause ends the loop, so that no turn follows."""
    return isinstance(clause.body[-1], ast.Raise | ast.Break | ast.Return)


class _LoopWait(Countdown):
    """The waits of a loop: its variable is the number of the attempt."""

    def __init__(self, project: Project, variable: str, first: int) -> None:
        super().__init__(project, {})
        self.variable, self.first = variable, first

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if isinstance(node, ast.Name) and node.id == self.variable:
            return retries + self.first
        return super()._evaluate(node, module, retries, given, depth)


def _read_wait(
    project: Project, module: Module, loop: ast.For, going_on: list[ast.ExceptHandler], first: int
) -> Backoff | None:
    """The wait before the next turn: that of the first `sleep` in a clause, else in the loop."""
    sleeps: list[ast.Call] = []
    for part in (*going_on, loop):
        sleeps += _find_sleeps(part)
    if not sleeps:
        return _NONE
    if not sleeps[0].args:
        return None
    variable = ""
    if isinstance(loop.target, ast.Name):
        variable = loop.target.id
    return _LoopWait(project, variable, first).backoff(sleeps[0].args[0], module)


def _tries_by_counter(loop: ast.While) -> bool:
    """`while attempt < MAX: try: ...`."""
    if not _COUNTERS.search(ast.unparse(loop.test)):
        return False
    return any(isinstance(node, ast.Try) for node in loop.body)


def kept_attempts(project: Project, handler: Definition) -> Place | None:
    """Where the handler looks at a counter that it keeps outside: `WHERE attempts < 5`,
    `row.attempts >= 5`.
    """
    for call in project.calls(handler, depth=2):
        query = None
        if call.node.args:
            query = project.literal(call.node.args[0], call.module)
        if isinstance(query, str) and _COUNTER_IN_SQL.search(query):
            return Place(call.path, call.line, call.text)
        if any(_COUNTER_IN_FILTER.search(keyword) for keyword in call.keywords):
            return Place(call.path, call.line, call.text)
    for part in (handler, *called(project, handler)):
        for node in find_nodes(part.node, ast.Compare):
            if _looks_at_counter(node):
                return place_of(part.module, node)
    return None


def _looks_at_counter(node: ast.Compare) -> bool:
    """`row.attempts >= 5`, `row["tries"] < MAX`."""
    if not isinstance(node.left, ast.Attribute | ast.Subscript):
        return False
    if not _COUNTERS.search(ast.unparse(node.left)):
        return False
    return isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE)
