"""What the sweeps of `recovers` add: each job that a fault may leave undone is looked for, and so
is one that is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.families.errors import list_exhausted
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.schedule import SWEEP, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Where a fault may leave a job undone, or given up: a sweep then finds it, or leaves it alone.
_SWEPT = frozenset(
    (
        "error",
        "exhaustion",
        "permanent",
        "store-error",
        "kill",
        "kill-lose",
        "double-kill",
        "fresh-interpreter",
        "publish-fault",
        "retry-lost",
        "letter-lost",
    )
)


def _has_no_sweep(situation: Situation) -> str | None:
    if situation.spec.recovers:
        return None
    return "recovers names no sweep"


@family("sweep", "recovers names no sweep", unless=_has_no_sweep)
def sweep(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The job is done, and the sweeps come: they must not do it again."""
    yield Schedule("sweep", moves=(SWEEP,))


def lose_last_attempt(
    histories: Iterable[History], facts: BootFacts, spec: JobSpec
) -> Iterator[Schedule]:
    """The process dies in the last attempt at each effect, before it meets the error once more, and
    its message is lost: whoever brings lost jobs back finds one with no attempt left.

    Not where a message is a row of the database, nor where a death itself loses it: there the
    sweeps follow each death while a job is given up.
    """
    is_recorded = spec.dead_letter is not None and spec.dead_letter.kind != "none"
    if not spec.recovers or not is_recorded:
        return
    is_lost_by_death = facts.lossy or facts.acks_late is False
    if facts.ticks or facts.keeps_rows or is_lost_by_death:
        return
    for *earlier, last in list_exhausted(histories):
        death = Fault("kill", last.at, last.delivery)
        yield Schedule("last-attempt-lost", (*earlier, death), (SWEEP,), lose=True)


def follow_with_sweeps(schedules: Iterable[Schedule], facts: BootFacts) -> list[Schedule]:
    """The schedules, with the sweeps behind what they may find."""
    return [_follow(schedule, facts) for schedule in schedules]


# What a clock publishes comes again with its next tick, whatever became of the last one.
_AFTER_OUTAGE = frozenset(("store-error", "retry-lost", "letter-lost"))
# The same after a death that loses the message.
_AFTER_DEATH = frozenset(("kill",))


def follow_with_tick(
    schedules: Iterable[Schedule], spec: JobSpec, *, after_deaths: bool = False
) -> list[Schedule]:
    """The schedules of what a clock alone publishes, with its next tick behind what an outage may
    leave undone; `after_deaths`: and behind what a death may.
    """
    followed = _AFTER_OUTAGE | _AFTER_DEATH if after_deaths else _AFTER_OUTAGE
    moves = list_moves_to_next_tick(spec)
    found: list[Schedule] = []
    for schedule in schedules:
        if schedule.family in followed and not schedule.moves:
            schedule = replace(schedule, moves=moves)
        found.append(schedule)
    return found


def list_moves_to_next_tick(spec: JobSpec) -> tuple[str, ...]:
    """The moves by which the next tick of a clock comes."""
    return (f"wait={int(ticks.find_tick_s(spec))}", "re-enqueue")


def _follow(schedule: Schedule, facts: BootFacts) -> Schedule:
    is_swept = schedule.family in (*_SWEPT, "kill-lose")
    if schedule.family == "crash-loop":
        # Where a death loses the message, the sweeps alone bring it back, and end it in the end.
        is_swept = facts.lossy or facts.acks_late is False
    if not is_swept or SWEEP in schedule.moves:
        return schedule
    moves = schedule.moves
    if schedule.family == "kill-lose" and not facts.keeps_rows:
        # Nobody publishes it again: that is what the sweep is for. Where the message is a row of
        # the database it is not lost, and another one may come while the dead worker's lease lasts.
        moves = tuple(move for move in moves if move != "re-enqueue")
    return replace(schedule, moves=(*moves, SWEEP))
