"""The wait before a retry, read from an expression such as `min(60 * 2 ** self.request.retries,
600)`.

The expression is evaluated for the first retries with random numbers at their largest, and the
numbers are then recognised as fixed or exponential; anything else stays unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skillrun.frameworks.interface import Backoff
from skillrun.repo.python import Definition, Module, Project, is_known
from skillrun.repo.syntax import find_nodes

_TRIES = 12
_MAX_DEPTH = 12
_UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_CHOICES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "builtins.min": min,
    "builtins.max": max,
}
_CONVERSIONS = ("builtins.int", "builtins.float", "builtins.round", "math.ceil", "math.floor")


class _Unreadable(Exception):
    """The expression holds something that is not understood."""


class Countdown:
    """Evaluates expressions of one module. `known` gives attributes of the task, e.g.
    default_retry_delay.
    """

    def __init__(self, project: Project, known: Mapping[str, Any]) -> None:
        self.project = project
        self.known = known
        self.random = False
        self._largest = True

    def backoff(self, node: ast.expr, module: Module) -> Backoff | None:
        """The waits as a `Backoff`, or None where they are neither fixed nor exponential, or cannot
        be read.
        """
        for largest in (True, False):
            self._largest = largest
            try:
                delays = []
                for retries in range(_TRIES):
                    delays.append(float(self._number(node, module, retries, {}, 0)))
            except (_Unreadable, ArithmeticError, ValueError, TypeError):
                return None
            shape = recognise(delays)
            if shape is not None:
                kind, base, factor, cap = shape
                return Backoff(kind, base, factor, cap, jitter=self.random)
            if not self.random:
                return None
        return None

    def number(self, node: ast.expr, module: Module) -> float | None:
        """A number that does not depend on the attempt, e.g. `self.max_retries`; None otherwise."""
        try:
            first, later = (self._number(node, module, retries, {}, 0) for retries in (0, 7))
        except (_Unreadable, ArithmeticError, ValueError, TypeError):
            return None
        if first != later:
            return None
        return first

    def is_retries(self, node: ast.expr) -> bool:
        """The number of retries so far. Celery's `<task>.request.retries`; another library's is a
        subclass away.
        """
        return (
            isinstance(node, ast.Attribute)
            and node.attr == "retries"
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "request"
        )

    def _number(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if depth > _MAX_DEPTH:
            raise _Unreadable
        if self.is_retries(node):
            return retries
        if isinstance(node, ast.Name) and node.id in given:
            return given[node.id]
        folded = self.project.literal(node, module)
        if isinstance(folded, int | float):
            return folded
        return self._compute(node, module, retries, given, depth)

    def _compute(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        """What is no number by itself."""

        def inner(part: ast.expr) -> float:
            return self._number(part, module, retries, given, depth + 1)

        if isinstance(node, ast.BinOp):
            return _computed(node.op, inner(node.left), inner(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -inner(node.operand)
        if isinstance(node, ast.Call):
            return self._call(node, module, retries, given, depth)
        if isinstance(node, ast.Attribute) and is_known(self.known.get(node.attr)):
            return _as_number(self.known.get(node.attr))
        if isinstance(node, ast.Subscript):
            return self._item(node, module, inner(node.slice))
        if isinstance(node, ast.Name):
            return inner(_assigned(node, module))
        raise _Unreadable

    def _call(
        self, node: ast.Call, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        def inner(part: ast.expr) -> float:
            return self._number(part, module, retries, given, depth + 1)

        name = module.resolve(node.func) or ""
        arguments = [inner(arg) for arg in node.args]
        if name == "datetime.timedelta":
            return sum(_UNITS[word.arg or ""] * inner(word.value) for word in node.keywords)
        if name.startswith(("random.", "secrets.")):
            return self._drawn(name, arguments)
        if name.endswith("get_exponential_backoff_interval"):
            return self._celery_backoff(node, module, retries, given, depth)
        known = _call_builtin(name, arguments)
        if known is not None:
            return known
        return self._own_function(name, arguments, node, module, retries, given, depth)

    def _drawn(self, name: str, arguments: list[float]) -> float:
        self.random = True
        method = name.rpartition(".")[2]
        if method == "random":
            if self._largest:
                return 1.0
            return 0.0
        if method in ("uniform", "randint") and len(arguments) == 2:
            if self._largest:
                return arguments[1]
            return arguments[0]
        if method in ("randrange", "randbelow") and arguments:
            if not self._largest:
                return 0.0
            return arguments[-1]
        raise _Unreadable

    def _celery_backoff(
        self, node: ast.Call, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        """celery/utils/time.py: min(maximum, factor * 2 ** retries), full jitter below it."""
        passed = dict(zip(("factor", "retries", "maximum", "full_jitter"), node.args, strict=False))
        passed |= {k.arg: k.value for k in node.keywords if k.arg}
        values = {}
        for name in ("factor", "retries", "maximum"):
            if name in passed:
                values[name] = self._number(passed[name], module, retries, given, depth + 1)
        self.random = self.random or self.project.literal(passed.get("full_jitter"), module) is True
        return min(values["maximum"], values["factor"] * 2 ** values["retries"])

    def _own_function(
        self,
        name: str,
        arguments: list[float],
        node: ast.Call,
        module: Module,
        retries: int,
        given: dict[str, float],
        depth: int,
    ) -> float:
        """A function of the repository that is one `return`, after plain assignments at most."""
        found = None
        if name:
            found = self.project.definition(name)
        returned = None
        if found:
            returned = _only_return(found)
        if found is None or returned is None:
            raise _Unreadable
        parameters = dict(zip(found.parameters, arguments, strict=False))
        for keyword in node.keywords:
            parameters[keyword.arg or ""] = self._number(
                keyword.value, module, retries, given, depth + 1
            )
        for parameter, default in _defaults(found):
            if parameter not in parameters:
                parameters[parameter] = self._number(default, found.module, retries, {}, depth + 1)
        return self._number(returned, found.module, retries, parameters, depth + 1)

    def _item(self, node: ast.Subscript, module: Module, index: float) -> float:
        held = self.project.literal(node.value, module)
        if not isinstance(held, list | tuple):
            raise _Unreadable
        return _as_number(held[min(int(index), len(held) - 1)])


def recognise(delays: Sequence[float]) -> tuple[str, float, float, float | None] | None:
    """(kind, base, factor, cap) of a series of waits; None where it is neither fixed nor
    exponential.
    """
    first, second, last = delays[0], delays[1], delays[-1]
    if all(_is_near(delay, first) for delay in delays):
        return "fixed", first, 1.0, None
    if first <= 0 or second <= first:
        return None
    factor = second / first
    capped = _is_near(delays[-2], last)
    expected = [first * factor**n for n in range(len(delays))]
    if capped:
        wanted = [min(value, last) for value in expected]
    else:
        wanted = expected
    if not all(_is_near(have, want) for have, want in zip(delays, wanted, strict=True)):
        return None
    return "exponential", first, factor, last if capped else None


def _is_near(left: float, right: float) -> bool:
    return abs(left - right) <= 1e-6 * max(1.0, abs(left), abs(right))


def _computed(op: ast.operator, left: float, right: float) -> float:
    if isinstance(op, ast.Add):
        return left + right
    if isinstance(op, ast.Sub):
        return left - right
    if isinstance(op, ast.Mult):
        return left * right
    if isinstance(op, ast.Div | ast.FloorDiv):
        return left / right
    if isinstance(op, ast.Pow) and abs(left) <= 1000 and abs(right) <= 64:
        return float(left**right)
    if isinstance(op, ast.LShift) and 0 <= right <= 64:
        return float(int(left) << int(right))
    raise _Unreadable


def _as_number(value: Any) -> float:
    if isinstance(value, int | float):
        return value
    raise _Unreadable


def _assigned(node: ast.Name, module: Module) -> ast.expr:
    """The one expression that a local variable is set to."""
    function = module.function_of(node)
    if function is not None:
        bound = module.bindings(function).get(node.id, [])
    else:
        bound = []
    if len(bound) == 1 and bound[0].kind == "value" and bound[0].value is not None:
        return bound[0].value
    raise _Unreadable


def _only_return(found: Definition) -> ast.expr | None:
    returns = []
    for n in find_nodes(found.node, ast.Return):
        returns.append(n)
    branches = any(
        isinstance(n, ast.If | ast.For | ast.While | ast.Try | ast.Yield)
        for n in ast.walk(found.node)
    )
    if len(returns) == 1 and not branches:
        return returns[0].value
    return None


def _defaults(found: Definition) -> list[tuple[str, ast.expr]]:
    if isinstance(found.node, ast.ClassDef):
        return []
    args = found.node.args
    positional = [*args.posonlyargs, *args.args]
    pairs = list(
        zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True)
    )
    for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if d is not None:
            pairs.append((a, d))
    return [(arg.arg, default) for arg, default in pairs]


def _call_builtin(name: str, arguments: list[float]) -> float | None:
    """What a function of Python's own makes of numbers; None for any other."""
    if name in _CONVERSIONS and arguments:
        return arguments[0]
    if name in ("builtins.pow", "math.pow") and len(arguments) == 2:
        return _computed(ast.Pow(), arguments[0], arguments[1])
    if name in _CHOICES and len(arguments) > 1:
        return _CHOICES[name](arguments)
    return None
