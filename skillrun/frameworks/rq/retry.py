"""What `Retry` means: how many runs more, and how long before each.

Source: rq/job.py. `Retry(max, interval=0)`: after the n-th failure with `left` retries left the
wait is
`intervals[max(len(intervals) - left, 0)]`, so a list that is too short repeats its *first* value,
and of one that is
too long only the end is used. A Retry that the function returns counts upwards:
`intervals[min(n, len(intervals) - 1)]`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.reading import held_value, place_of
from skillrun.frameworks.interface import (
    Backoff,
)
from skillrun.repo.python import Call, Definition, Module, Project, is_known
from skillrun.repo.syntax import is_none
from skillrun.repo.uses import Place

CLASSES = ("rq.Retry", "rq.job.Retry")
# Waits that are written out.
_LONGEST = 1000


@dataclass(frozen=True)
class Reading:
    """A `Retry` as it stands in the code. `retries` and `intervals` are None where they cannot be
    read.
    """

    retries: int | None
    intervals: tuple[float, ...] | None
    place: Place | None
    returned: bool = False
    clause: tuple[str, ...] | None = None  # returned from an `except` clause for these

    @property
    def waits(self) -> tuple[float, ...] | None:
        """Seconds before each retry; None where that cannot be read."""
        if self.retries is None or self.intervals is None or self.retries > _LONGEST:
            return None
        if not self.intervals:
            return (0.0,) * self.retries
        if self.returned:
            found = []
            for n in range(self.retries):
                found.append(self.intervals[min(n, len(self.intervals) - 1)])
            return tuple(found)
        left = range(self.retries, 0, -1)
        return tuple(self.intervals[max(len(self.intervals) - n, 0)] for n in left)


NONE = Reading(0, (), None)


def read_retry(project: Project, node: ast.expr | None, module: Module) -> Reading:
    """What is given as `retry=`."""
    if node is None:
        return NONE
    held = held_value(project, node, module)
    value, holder = held or (node, module)
    if is_none(value):
        return NONE
    if isinstance(value, ast.Call) and is_retry(project, value, holder):
        return _read_call(project, value, holder)
    return Reading(None, None, place_of(module, node))


def is_retry(project: Project, call: ast.Call, module: Module) -> bool:
    """`Retry(...)` of RQ itself."""
    return project.origin_of(module, call.func) in CLASSES


def _read_call(project: Project, call: ast.Call, module: Module) -> Reading:
    place = place_of(module, call)
    if any(keyword.arg is None for keyword in call.keywords) or any(
        isinstance(a, ast.Starred) for a in call.args
    ):
        return Reading(None, None, place)
    given = dict(zip(("max", "interval"), call.args, strict=False)) | {
        k.arg: k.value for k in call.keywords if k.arg
    }
    most = project.literal(given.get("max"), module)
    return Reading(
        most if _is_count(most) else None,
        _read_intervals(project, given.get("interval"), module),
        place,
    )


def _read_intervals(
    project: Project, node: ast.expr | None, module: Module
) -> tuple[float, ...] | None:
    value = 0
    if node is not None:
        value = project.literal(node, module)
    if isinstance(value, list | tuple):
        values = value
    else:
        values = [value]
    good = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    if good and is_known(value):
        return tuple(float(one) for one in values)
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def returned_retries(project: Project, handler: Definition) -> Iterator[Reading]:
    """`return Retry(...)` in the handler itself: RQ runs the job again although it did not fail."""
    for call in project.calls(handler, depth=0):
        above = next(call.module.parents(call.node), None)
        if isinstance(above, ast.Return) and is_retry(project, call.node, call.module):
            read = _read_call(project, call.node, call.module)
            yield Reading(read.retries, read.intervals, read.place, True, _list_clause_errors(call))


def _list_clause_errors(call: Call) -> tuple[str, ...] | None:
    if not call.in_except:
        return None
    return call.in_except.exceptions


def backoff_of(waits: tuple[float, ...]) -> Backoff:
    """Waits in the words of a policy; a list that is neither flat nor zero is kept as it is."""
    if not any(waits):
        return Backoff("none")
    if len(set(waits)) == 1:
        return Backoff("fixed", waits[0])
    factor = 1.0
    if waits[0]:
        factor = waits[1] / waits[0]
    return Backoff("exponential", waits[0], factor, max(waits), waits=waits)
