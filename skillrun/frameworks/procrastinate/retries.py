"""What `retry=` means: how many runs more, after which wait, and for which exceptions.

Source: procrastinate/retry.py. `retry=True` is for ever, `retry=3` three retries, both at once.
`RetryStrategy` waits
`wait + linear_wait * n + exponential_wait ** (n + 1)` before the retry number n, counted from 0,
and never less than
what the exponent makes: there is no cap. `max_attempts` counts retries; None and 0 bound nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.reading import held_value, options_of, place_of
from skillrun.frameworks.interface import Backoff
from skillrun.repo.python import UNKNOWN, Module, Project, is_known
from skillrun.repo.syntax import is_given

if TYPE_CHECKING:
    from skillrun.frameworks.procrastinate.tasks import Task
    from skillrun.repo.uses import Place

STRATEGY = ("procrastinate.RetryStrategy", "procrastinate.retry.RetryStrategy")
BASE = ("procrastinate.BaseRetryStrategy", "procrastinate.retry.BaseRetryStrategy")
ANY = ("builtins.Exception",)
# Waits that are written out.
_SHOWN = 50


@dataclass(frozen=True)
class Strategy:
    """A task's `retry`. None and UNKNOWN in `retries`: without a bound, and not to be read."""

    retries: Any  # int | None | UNKNOWN
    place: Place | None = None
    wait: Any = 0
    linear: Any = 0
    exponential: Any = 0
    exceptions: tuple[str, ...] | None = ANY  # dotted names; None: they cannot be read
    custom: str | None = None  # dotted name of a strategy of the repository's own

    @property
    def tries_again(self) -> bool:
        """Whether there is any retry."""
        return self.retries != 0 or not is_known(self.retries)

    @property
    def waits_read(self) -> bool:
        """Whether its three numbers were read."""
        return self.custom is None and all(
            is_known(n) for n in (self.wait, self.linear, self.exponential)
        )

    def seconds(self, number: int) -> float:
        """The wait before a retry, counted from 0."""
        return float(self.wait + self.linear * number + self.exponential ** (number + 1))

    def backoff(self) -> Backoff | None:
        """The waits as a policy says them; None where they cannot be read."""
        if not self.waits_read:
            return None
        if not self.wait and not self.linear and self.exponential > 1:
            return Backoff("exponential", float(self.exponential), float(self.exponential))
        count = 2
        if isinstance(self.retries, int):
            count = min(self.retries, _SHOWN)
        waits = tuple(self.seconds(number) for number in range(max(count, 1)))
        if len(set(waits)) == 1 and not self.linear and self.exponential <= 1:
            if waits[0]:
                return Backoff("fixed", waits[0])
            return Backoff("none")
        return Backoff("exponential", waits[0], 1.0, None, waits=waits)


def read_strategy(project: Project, task: Task) -> Strategy:
    """What the task's `retry` says; no retry where it says nothing."""
    found = task.option("retry")
    if found is None:
        return Strategy(UNKNOWN if task.unread else 0, task.registered if task.unread else None)
    node, module = held_value(project, *found) or found
    place = place_of(found[1], found[0])
    value = project.literal(node, module)
    if isinstance(value, bool):
        return Strategy(None if value else 0, place)
    if isinstance(value, int):
        return Strategy(value, place)
    if isinstance(node, ast.Call):
        return _read_made(project, node, module, place)
    return Strategy(UNKNOWN, place, UNKNOWN, exceptions=None)


def _read_made(project: Project, call: ast.Call, module: Module, place: Place) -> Strategy:
    """`RetryStrategy(...)`, or a class of the repository's own."""
    name = project.origin_of(module, call.func)
    if name not in STRATEGY:
        return Strategy(
            UNKNOWN, place, UNKNOWN, exceptions=None, custom=name or ast.unparse(call.func)
        )
    options, unread = options_of(project, call, module)

    def number(option: str) -> Any:
        if option not in options:
            if not unread:
                return 0
            return UNKNOWN
        value = project.literal(options[option], module)
        if isinstance(value, int | float):
            return value
        if value is None:
            return 0
        return UNKNOWN

    most = number("max_attempts")
    exceptions = _list_exceptions(project, options.get("retry_exceptions"), module, unread)
    retries = None
    if not is_known(most) or most:
        retries = most
    return Strategy(
        retries,
        place,
        number("wait"),
        number("linear_wait"),
        number("exponential_wait"),
        exceptions,
    )


def _list_exceptions(
    project: Project, node: ast.expr | None, module: Module, unread: bool
) -> tuple[str, ...] | None:
    if not is_given(node):
        if unread and node is None:
            return None
        return ANY
    held, holder = held_value(project, node, module) or (node, module)
    if isinstance(held, ast.Call) and held.args and holder.resolve(held.func) in _COLLECTIONS:
        held = held.args[0]
    if not isinstance(held, ast.List | ast.Tuple | ast.Set):
        return None
    if not held.elts:
        # An empty one is none at all.
        return ANY
    named = tuple(project.origin_of(holder, one) for one in held.elts)
    if not all(named):
        return None
    return named


_COLLECTIONS = ("builtins.set", "builtins.frozenset", "builtins.tuple", "builtins.list")
