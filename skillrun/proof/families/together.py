"""Several at once: copies of a message, another job beside it, one that stands still meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.families.errors import list_exhausted
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.messages import read_dedupe_window
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.schedule import SWEEP, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Families that grow with the boundaries, or with their square, get so many schedules at most,
# spread evenly: a proof has to end within minutes.
_AT_ONCE = 60
_BESIDE = 30
# Longer than a lock should live.
_STALL_S = 3600.0
_NO_STEP = "the single run has no boundary"


@family("at-once", _NO_STEP, most=_AT_ONCE)
def at_once(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Two deliveries with one and two switches, then three."""
    steps = situation.steps
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at),), copies=2)
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at), Fault("switch", at)), copies=3)
    for at in steps:
        for then in steps:
            yield Schedule("at-once", (Fault("switch", at), Fault("switch", then)), copies=2)


@family("distinct-at-once", "no second job comes as a message of its own", most=_BESIDE)
def distinct_at_once(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Two jobs that share something, each between two steps of the other: a lost update."""
    if situation.jobs and not situation.facts.ticks:
        for at in situation.steps:
            fault = Fault("switch", at)
            yield Schedule("distinct-at-once", (fault,), beside=situation.jobs[0])


@family("distinct-at-once", "no second job comes as a message of its own", most=_BESIDE)
def others_at_once(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Each further job while the answer of an effect is on its way: it may be the newer version of
    what the first one is about to write.
    """
    if situation.facts.ticks:
        return
    for job in situation.jobs[1:]:
        for effect in situation.effects:
            fault = Fault("switch", f"after:{effect.name}#1")
            yield Schedule("distinct-at-once", (fault,), beside=job)


# Each effect, before its answer and with it.
_SHARED = 8


@family("same-process", "each delivery of this proof has a process of its own", most=_SHARED)
def shared_process(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Another job in the same process, in its event loop or in another thread, while an effect of
    the first one waits for its answer: what both keep in one object, one of them finds changed.
    """
    if not situation.jobs:
        return
    for effect in situation.shared_calls:
        for when in ("before", "after"):
            fault = Fault("switch", f"{when}:{effect}")
            yield Schedule("same-process", (fault,), beside=situation.jobs[0], same=True)


@family("stall", _NO_STEP)
def stall(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """An hour, or half of the shortest window where that is less: longer than a lock should
    live.
    """
    wait = _choose_stall(situation.spec, situation.facts)
    for at in situation.steps:
        yield Schedule("stall", (Fault("stall", at),), (f"wait={wait}", "redeliver"))


def _choose_stall(spec: JobSpec, facts: BootFacts) -> int:
    """For how many seconds a delivery stands still, see `stall`."""
    windows = [effect.window for effect in spec.effects or () if effect.window]
    promised = read_dedupe_window(spec)
    if promised:
        windows.append(promised)
    if spec.trigger and ticks.is_clocked(spec, facts):
        # The tick's own job: the next ones are other jobs.
        windows.append(ticks.find_period_s(spec.trigger.schedule) / 3)
    return int(min([_STALL_S, *(window / 2 for window in windows)]))


def outlast_lock(
    histories: Iterable[History], facts: BootFacts, spec: JobSpec
) -> Iterator[Schedule]:
    """The last attempt at each effect is answered so late that its lock is over, and whoever comes
    meanwhile finds no attempt left. Only where somebody comes while a worker is still there.
    """
    meanwhile = _find_who_comes(facts, spec)
    is_recorded = spec.dead_letter is not None and spec.dead_letter.kind != "none"
    if meanwhile is None or not is_recorded:
        return
    wait = _choose_stall(spec, facts)
    for *earlier, last in list_exhausted(histories):
        answered = last.at.replace("before:", "after:", 1)
        stall = Fault("stall", answered, last.delivery)
        yield Schedule("late-success", (*earlier, stall), (f"wait={wait}", meanwhile))


def _find_who_comes(facts: BootFacts, spec: JobSpec) -> str | None:
    """The move by which somebody comes to a job that stands still: the next tick, a sweep, or its
    message once the broker has waited for long enough. None where nobody does.
    """
    if ticks.is_polled(spec, facts):
        return "redeliver"
    if spec.recovers or (spec.enqueue is not None and spec.enqueue.relay is not None):
        return SWEEP
    if facts.redelivery_s > 0 and not facts.ticks:
        return "redeliver"
    return None
