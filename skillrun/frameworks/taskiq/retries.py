"""What taskiq's two retrying middlewares do with a task: how many runs, which waits, for which
exceptions.

Sources: taskiq/middlewares/simple_retry_middleware.py and smart_retry_middleware.py. `retries <
max_retries`, where the first failure makes it one: `max_retries` counts runs. Without a schedule
source `SmartRetryMiddleware` kicks at once, with the wait in the label `delay`; the next wait is
computed from there, so that what was multiplied is multiplied.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.taskiq.brokers import Broker, Part
from skillrun.frameworks.taskiq.sends import label
from skillrun.frameworks.taskiq.tasks import Task
from skillrun.repo.python import UNKNOWN, Definition, Module, Project, is_known
from skillrun.repo.syntax import find_nodes, is_constant, is_given

NONE = Backoff("none")
_DEFAULTS: dict[str, Any] = {
    "default_retry_count": 3,
    "default_retry_label": False,
    "default_delay": 5,
    "use_jitter": False,
    "use_delay_exponent": False,
    "max_delay_exponent": 60,
}
# Retries of which the handler's own comparison is evaluated.
_MOST = 12


class Tries(Countdown):
    """`context.message.labels.get("_retries", 0)` in a handler, `retries` in a `make_delay`."""

    def __init__(self, project: Project, parameter: str = "") -> None:
        super().__init__(project, {})
        self.parameter = parameter

    def is_retries(self, node: ast.expr) -> bool:
        """The label `_retries`, or the parameter by which a middleware's method is given the
        number.
        """
        if isinstance(node, ast.Name):
            return bool(self.parameter) and node.id == self.parameter
        if isinstance(node, ast.Subscript):
            return is_constant(node.slice, "_retries")
        called = None
        if isinstance(node, ast.Call):
            called = node.func
        first = None
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
        named = is_constant(first, "_retries")
        return named and isinstance(called, ast.Attribute) and called.attr == "get"

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if self.parameter and self.is_retries(node):
            # The first wait is that of retry 1.
            return retries + 1
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self._evaluate(node.values[0], module, retries, given, depth + 1)
        return super()._evaluate(node, module, retries, given, depth)

    def holds(self, test: ast.Compare, module: Module, retries: int) -> bool | None:
        """Whether a comparison holds after so many retries; None where it cannot be told."""
        try:
            left, right = (
                self._evaluate(node, module, retries, {}, 0)
                for node in (test.left, test.comparators[0])
            )
        except Exception:  # whatever the expression is, it is no comparison of numbers
            return None
        kinds: dict[type[ast.cmpop], bool] = {
            ast.Lt: left < right,
            ast.LtE: left <= right,
            ast.Gt: left > right,
            ast.GtE: left >= right,
            ast.Eq: left == right,
            ast.NotEq: left != right,
        }
        return kinds.get(type(test.ops[0]))


def option(project: Project, part: Part, name: str) -> Any:
    """An option of a retrying middleware; an `Unknown` where it cannot be read."""
    if name in part.options:
        return project.literal(part.options[name], part.module)
    if part.unread:
        return UNKNOWN
    return _DEFAULTS.get(name)


def asks(project: Project, task: Task, part: Part) -> Any:
    """Whether a failure of the task is retried: its label `retry_on_error`, else the middleware's
    default.
    """
    value, _ = label(project, task, "retry_on_error")
    if value is None:
        value = option(project, part, "default_retry_label")
    if not is_known(value):
        return value
    return str(value).lower() == "true"


def runs(project: Project, task: Task, part: Part) -> Any:
    """How often it runs at most, by this middleware; an `Unknown` where that cannot be read."""
    if part.own is not None and project.member([part.own], "on_error") is not None:
        return UNKNOWN
    asked, (most, _) = asks(project, task, part), label(project, task, "max_retries")
    if most is None:
        most = option(project, part, "default_retry_count")
    if asked is False:
        return 1
    is_number = isinstance(most, int) or (isinstance(most, str) and most.isdigit())
    if not is_known(asked) or not is_number:
        return UNKNOWN
    return max(1, int(most))


def has_source(part: Part) -> bool:
    """It waits by a schedule, and not by a label."""
    node = part.options.get("schedule_source")
    return is_given(node)


def backoff(
    project: Project, task: Task, part: Part, broker: Broker, attempts: int
) -> Backoff | None:
    """The waits before each retry; None where they cannot be read."""
    if part.kind == "SimpleRetryMiddleware":
        return NONE
    if not has_source(part) and not broker.waits and not part.unread:
        # Nobody reads the label.
        return NONE
    own = make_delay(project, part)
    if own is not None:
        return own_waits(project, own)
    names = ("default_delay", "max_delay_exponent", "use_delay_exponent", "use_jitter")
    values = [option(project, part, name) for name in names]
    told = _find_told_delay(project, task.handler)
    if told is not None:
        found = None
        if values[2] is False and is_known(values[3]):
            found = Tries(project).backoff(*told)
        if found is None:
            return None
        return replace(found, jitter=found.jitter or bool(values[3]))
    base, _ = label(project, task, "delay")
    if base is None:
        base = values[0]
    if not all(map(is_known, (base, *values))):
        return None
    return _compute_backoff(
        float(base),
        float(values[1]),
        attempts,
        grows=values[2],
        jitter=values[3],
        kept=not has_source(part),
    )


def _compute_backoff(
    base: float, cap: float, attempts: int, *, grows: bool, jitter: bool, kept: bool
) -> Backoff:
    """As `make_delay` does; `kept`: the wait stays in the label, and the next one starts from
    it.
    """
    if not grows:
        return Backoff("fixed", base, jitter=bool(jitter))
    waits: list[float] = []
    for number in range(1, attempts):
        waits.append(min((waits[-1] if kept and waits else base) * number, cap))
    return Backoff("exponential", base, cap_s=cap, jitter=bool(jitter), waits=tuple(waits))


def _find_told_delay(project: Project, handler: Definition) -> tuple[ast.expr, Module] | None:
    """What the handler puts into the label `delay` of the message that it works on, for a retry to
    wait so long.
    """
    for part in project.callables(handler):
        for node in find_nodes(part.node, ast.Assign):
            target = node.targets[0]
            named = isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant)
            if named and ast.unparse(target).endswith(".labels['delay']"):
                return node.value, part.module
    return None


def make_delay(project: Project, part: Part) -> Definition | None:
    """The repository's own method that computes the waits."""
    if part.own is None:
        return None
    return project.member([part.own], "make_delay")


def own_waits(project: Project, method: Definition) -> Backoff | None:
    """What a `make_delay` of the repository's own says that is one `return`; None for any other."""
    returns = []
    for node in find_nodes(method.node, ast.Return):
        if node.value is not None:
            returns.append(node)
    if len(returns) != 1 or len(method.parameters) < 3 or returns[0].value is None:
        return None
    return Tries(project, method.parameters[2]).backoff(returns[0].value, method.module)


def types(project: Project, task: Task, part: Part) -> tuple[str, ...] | None:
    """Dotted names of the exceptions that are retried; None: whatever leaves the task."""
    found = task.labels.get("types_of_exceptions")
    given = part.options.get("types_of_exceptions")
    node, module = found if found is not None else (given, part.module)
    if not is_given(node):
        return None
    return project.exception_names(node, module)


@dataclass(frozen=True)
class Bound:
    """The handler's own comparison of `_retries`: how many runs it lets pass (None: unread), and
    where.
    """

    runs: int | None
    node: ast.If
    module: Module


def own_bound(project: Project, handler: Definition) -> Bound | None:
    """The first one that can be read, else the first; None where the handler does not ask."""
    tries, found = Tries(project), None
    for node, module in _find_comparisons(project, handler):
        test = node.test
        first = None
        if isinstance(test, ast.Compare):
            first = tries.holds(test, module, 0)
        if first is not None and isinstance(test, ast.Compare):
            turned = None
            for n in range(1, _MOST):
                if tries.holds(test, module, n) is not first:
                    turned = n
                    break
            if turned is not None:
                return Bound(turned + 1, node, module)
        found = found or Bound(None, node, module)
    return found


def _find_comparisons(project: Project, handler: Definition) -> Iterator[tuple[ast.If, Module]]:
    for part in project.callables(handler):
        bindings = part.module.bindings(part.node).items()
        held = set()
        for name, bound in bindings:
            if any(b.value and "_retries" in ast.unparse(b.value) for b in bound):
                held.add(name)
        for node in find_nodes(part.node, ast.If):
            words = set()
            for one in find_nodes(node.test, ast.Name):
                words.add(one.id)
            if words & held or "'_retries'" in ast.unparse(node.test):
                yield node, part.module
