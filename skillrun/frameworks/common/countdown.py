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
# A number that is the same for the first try and for this one does not depend on the try.
_LATER_TRY = 7
_TOLERANCE = 1e-6
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
        # With random numbers at their largest, then at their smallest: `2 ** n + random()` is
        # exponential only without them.
        for largest in (True, False):
            self._largest = largest
            try:
                delays = []
                for retries in range(_TRIES):
                    delays.append(float(self._evaluate(node, module, retries, {}, 0)))
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
            first = self._evaluate(node, module, 0, {}, 0)
            later = self._evaluate(node, module, _LATER_TRY, {}, 0)
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

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        """The value of an expression after so many retries; `given` are the parameters of the
        function that it stands in. Raises _Unreadable.
        """
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
        """The value of an expression that is no constant: arithmetic, a call, an element."""

        def inner(part: ast.expr) -> float:
            return self._evaluate(part, module, retries, given, depth + 1)

        if isinstance(node, ast.BinOp):
            return _apply_operator(node.op, inner(node.left), inner(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -inner(node.operand)
        if isinstance(node, ast.Call):
            return self._evaluate_call(node, module, retries, given, depth)
        if isinstance(node, ast.Attribute) and is_known(self.known.get(node.attr)):
            return _as_number(self.known.get(node.attr))
        if isinstance(node, ast.Subscript):
            return self._pick_element(node, module, inner(node.slice))
        if isinstance(node, ast.Name):
            return inner(_find_assigned(node, module))
        raise _Unreadable

    def _evaluate_call(
        self, node: ast.Call, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        def inner(part: ast.expr) -> float:
            return self._evaluate(part, module, retries, given, depth + 1)

        name = module.resolve(node.func) or ""
        arguments = [inner(arg) for arg in node.args]
        if name == "datetime.timedelta":
            return sum(_UNITS[word.arg or ""] * inner(word.value) for word in node.keywords)
        if name.startswith(("random.", "secrets.")):
            return self._pick_random(name, arguments)
        if name.endswith("get_exponential_backoff_interval"):
            return self._compute_celery_backoff(node, module, retries, given, depth)
        known = _call_builtin(name, arguments)
        if known is not None:
            return known
        return self._evaluate_function(name, arguments, node, module, retries, given, depth)

    def _pick_random(self, name: str, arguments: list[float]) -> float:
        """The largest, or the smallest, number that a function of `random` may give."""
        self.random = True
        method = name.rpartition(".")[2]
        if method == "random":
            smallest, largest = 0.0, 1.0
        elif method in ("uniform", "randint") and len(arguments) == 2:
            smallest, largest = arguments
        elif method in ("randrange", "randbelow") and arguments:
            smallest, largest = 0.0, arguments[-1]
        else:
            raise _Unreadable
        if self._largest:
            return largest
        return smallest

    def _compute_celery_backoff(
        self, node: ast.Call, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        """celery/utils/time.py: min(maximum, factor * 2 ** retries), full jitter below it."""
        passed = dict(zip(("factor", "retries", "maximum", "full_jitter"), node.args, strict=False))
        passed |= {k.arg: k.value for k in node.keywords if k.arg}
        values = {}
        for name in ("factor", "retries", "maximum"):
            if name in passed:
                values[name] = self._evaluate(passed[name], module, retries, given, depth + 1)
        self.random = self.random or self.project.literal(passed.get("full_jitter"), module) is True
        return min(values["maximum"], values["factor"] * 2 ** values["retries"])

    def _evaluate_function(
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
        if found is None:
            raise _Unreadable
        returned = _find_only_return(found)
        if returned is None:
            raise _Unreadable
        parameters = dict(zip(found.parameters, arguments, strict=False))
        for keyword in node.keywords:
            parameters[keyword.arg or ""] = self._evaluate(
                keyword.value, module, retries, given, depth + 1
            )
        for parameter, default in _list_defaults(found):
            if parameter not in parameters:
                parameters[parameter] = self._evaluate(
                    default, found.module, retries, {}, depth + 1
                )
        return self._evaluate(returned, found.module, retries, parameters, depth + 1)

    def _pick_element(self, node: ast.Subscript, module: Module, index: float) -> float:
        """The number at an index of a list that is written out; behind its end, the last one."""
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
    # Two equal waits at the end: it grows no further.
    cap = None
    if _is_near(delays[-2], last):
        cap = last
    for number, delay in enumerate(delays):
        expected = first * factor**number
        if cap is not None:
            expected = min(expected, cap)
        if not _is_near(delay, expected):
            return None
    return "exponential", first, factor, cap


def _is_near(left: float, right: float) -> bool:
    """Whether two waits are the same but for what floating-point numbers lose."""
    return abs(left - right) <= _TOLERANCE * max(1.0, abs(left), abs(right))


def _apply_operator(op: ast.operator, left: float, right: float) -> float:
    """What an operator makes of two numbers; nothing that would take long. Raises _Unreadable."""
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
    """The value, where it is a number. Raises _Unreadable."""
    if isinstance(value, int | float):
        return value
    raise _Unreadable


def _find_assigned(node: ast.Name, module: Module) -> ast.expr:
    """The one expression that a local variable is set to."""
    function = module.function_of(node)
    bound = []
    if function is not None:
        bound = module.bindings(function).get(node.id, [])
    if len(bound) == 1 and bound[0].kind == "value" and bound[0].value is not None:
        return bound[0].value
    raise _Unreadable


def _find_only_return(found: Definition) -> ast.expr | None:
    """What a function returns, where there is one way through it."""
    returns = list(find_nodes(found.node, ast.Return))
    if len(returns) != 1:
        return None
    for node in ast.walk(found.node):
        if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.Yield):
            return None
    return returns[0].value


def _list_defaults(found: Definition) -> list[tuple[str, ast.expr]]:
    """(name, default) of each parameter of a function that has a default."""
    if isinstance(found.node, ast.ClassDef):
        return []
    args = found.node.args
    positional = [*args.posonlyargs, *args.args]
    # Defaults are those of the last parameters.
    with_default = positional[len(positional) - len(args.defaults) :]
    pairs = []
    for parameter, default in zip(with_default, args.defaults, strict=True):
        pairs.append((parameter.arg, default))
    for parameter, optional in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if optional is not None:
            pairs.append((parameter.arg, optional))
    return pairs


def _call_builtin(name: str, arguments: list[float]) -> float | None:
    """What a function of Python's own makes of numbers; None for any other."""
    if name in _CONVERSIONS and arguments:
        return arguments[0]
    if name in ("builtins.pow", "math.pow") and len(arguments) == 2:
        return _apply_operator(ast.Pow(), arguments[0], arguments[1])
    if name in _CHOICES and len(arguments) > 1:
        return _CHOICES[name](arguments)
    return None
