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
from skillrun.repo.syntax import find_names, find_nodes, is_constant, is_given, name_method

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
        if not isinstance(node, ast.Call) or name_method(node) != "get" or not node.args:
            return False
        return is_constant(node.args[0], "_retries")

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if self.parameter and self.is_retries(node):
            # The first wait is that of retry 1.
            return retries + 1
        # `labels.get("_retries") or 0`
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self._evaluate(node.values[0], module, retries, given, depth + 1)
        return super()._evaluate(node, module, retries, given, depth)

    def holds(self, test: ast.Compare, module: Module, retries: int) -> bool | None:
        """Whether a comparison holds after so many retries; None where it cannot be told."""
        try:
            left = self._evaluate(test.left, module, retries, {}, 0)
            right = self._evaluate(test.comparators[0], module, retries, {}, 0)
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
    is_asked = asks(project, task, part)
    most, _ = label(project, task, "max_retries")
    if most is None:
        most = option(project, part, "default_retry_count")
    if is_asked is False:
        return 1
    # A label may be a text: "5".
    is_number = isinstance(most, int) or (isinstance(most, str) and most.isdigit())
    if not is_known(is_asked) or not is_number:
        return UNKNOWN
    return max(1, int(most))


def has_source(part: Part) -> bool:
    """Whether a middleware waits by a schedule, and not by a label."""
    return is_given(part.options.get("schedule_source"))


def backoff(
    project: Project, task: Task, part: Part, broker: Broker, attempts: int
) -> Backoff | None:
    """The waits before each retry; None where they cannot be read."""
    if part.kind == "SimpleRetryMiddleware":
        return NONE
    if not has_source(part) and not broker.waits and not part.unread:
        # Nobody reads the label.
        return NONE
    method = make_delay(project, part)
    if method is not None:
        return own_waits(project, method)
    delay = option(project, part, "default_delay")
    cap = option(project, part, "max_delay_exponent")
    grows = option(project, part, "use_delay_exponent")
    jitter = option(project, part, "use_jitter")
    told = _find_told_delay(project, task.handler)
    if told is not None:
        # The middleware would change what the handler says.
        if grows is not False or not is_known(jitter):
            return None
        waits = Tries(project).backoff(*told)
        if waits is None:
            return None
        return replace(waits, jitter=waits.jitter or bool(jitter))
    base, _ = label(project, task, "delay")
    if base is None:
        base = delay
    if not all(map(is_known, (base, delay, cap, grows, jitter))):
        return None
    is_kept = not has_source(part)
    return _compute_backoff(
        float(base), float(cap), attempts, grows=grows, jitter=jitter, kept=is_kept
    )


def _compute_backoff(
    base: float, cap: float, attempts: int, *, grows: bool, jitter: bool, kept: bool
) -> Backoff:
    """The waits as `make_delay` computes them; `kept`: the wait stays in the label, and the next
    one starts from it.
    """
    if not grows:
        return Backoff("fixed", base, jitter=bool(jitter))
    waits: list[float] = []
    start = base
    for number in range(1, attempts):
        wait = min(start * number, cap)
        waits.append(wait)
        if kept:
            start = wait
    return Backoff("exponential", base, cap_s=cap, jitter=bool(jitter), waits=tuple(waits))


def _find_told_delay(project: Project, handler: Definition) -> tuple[ast.expr, Module] | None:
    """What the handler puts into the label `delay` of the message that it works on, for a retry to
    wait so long.
    """
    for function in project.callables(handler):
        for node in find_nodes(function.node, ast.Assign):
            target = node.targets[0]
            if not isinstance(target, ast.Subscript) or not isinstance(target.slice, ast.Constant):
                continue
            if ast.unparse(target).endswith(".labels['delay']"):
                return node.value, function.module
    return None


def make_delay(project: Project, part: Part) -> Definition | None:
    """The repository's own method that computes the waits."""
    if part.own is None:
        return None
    return project.member([part.own], "make_delay")


def own_waits(project: Project, method: Definition) -> Backoff | None:
    """What a `make_delay` of the repository's own says that is one `return`; None for any other."""
    returned = []
    for node in find_nodes(method.node, ast.Return):
        if node.value is not None:
            returned.append(node.value)
    # make_delay(self, message, retries)
    if len(returned) != 1 or len(method.parameters) < 3:
        return None
    return Tries(project, method.parameters[2]).backoff(returned[0], method.module)


def types(project: Project, task: Task, part: Part) -> tuple[str, ...] | None:
    """Dotted names of the exceptions that are retried; None: whatever leaves the task."""
    node, module = part.options.get("types_of_exceptions"), part.module
    written = task.labels.get("types_of_exceptions")
    if written is not None:
        node, module = written
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
    """The first comparison that can be read, else the first; None where the handler does not
    ask.
    """
    tries, unread = Tries(project), None
    for node, module in _find_comparisons(project, handler):
        turns_at = None
        if isinstance(node.test, ast.Compare):
            turns_at = _find_turn(tries, node.test, module)
        if turns_at is not None:
            return Bound(turns_at + 1, node, module)
        unread = unread or Bound(None, node, module)
    return unread


def _find_turn(tries: Tries, test: ast.Compare, module: Module) -> int | None:
    """The number of retries at which a comparison first says something else than at none."""
    at_first = tries.holds(test, module, 0)
    if at_first is None:
        return None
    for retries in range(1, _MOST):
        if tries.holds(test, module, retries) is not at_first:
            return retries
    return None


def _find_comparisons(project: Project, handler: Definition) -> Iterator[tuple[ast.If, Module]]:
    """(if, module) of each `if` on the handler's way that asks for the label `_retries`."""
    for function in project.callables(handler):
        variables = set()
        for name, bound in function.module.bindings(function.node).items():
            for binding in bound:
                if binding.value and "_retries" in ast.unparse(binding.value):
                    variables.add(name)
        for node in find_nodes(function.node, ast.If):
            has_variable = not variables.isdisjoint(find_names(node.test))
            if has_variable or "'_retries'" in ast.unparse(node.test):
                yield node, function.module
