"""A process dies: once, twice, while it gives a job up, and in a worker that comes up anew."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.proof.families.boundaries import (
    find_boundaries,
    find_callback_boundaries,
    kill_points,
)
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import Event, History, outlasts_process
from skillrun.proof.judges.late_back import find_age, read_window
from skillrun.proof.schedule import EVERY, SWEEP, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Of a window: beyond it, whatever the deliveries themselves took.
_LATER = 1.1
# Of a window, twice: within it each time, and beyond it in the end.
_MOST_OF_IT = 0.6
# Of a window: within it, and so close to its end that a guard of the application's is shut.
_ALMOST_ALL_OF_IT = 0.97
# Of a window: a worker that is away for longer does not come back by surprise.
_LONGEST_ABSENCE_S = 7 * 24 * 3600.0
_DAY_S = 24 * 3600.0
# A few minutes after a whole day: what reckons an age by the clock's hours takes it for new.
_HARDLY_MORE_S = 300.0
_NO_DEATH = "the single run has no boundary at which a death makes a difference"


@family("kill", _NO_DEATH)
def kill(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A death at each boundary; of the worker too, where the library treats the two differently."""
    for at in situation.kills:
        yield Schedule("kill", (Fault("kill", at),))
    if situation.facts.victims_differ:
        for at in situation.kills:
            yield Schedule("kill", (Fault("kill-worker", at),))


@family("kill", _NO_DEATH)
def kill_before_midnight(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A key that contains the time is another one when the tick comes on the next day."""
    if not situation.polled or situation.daily:
        return
    for fault in _deaths_after_keyed_effects(situation):
        yield Schedule("kill", (fault,), midnight=True)


def _has_no_message(situation: Situation) -> str | None:
    # Ticks look for their work: there is no message that could be lost.
    if situation.facts.ticks:
        return "no message is lost where ticks look for their work"
    return None


def _looks_for_its_work(situation: Situation) -> str | None:
    if situation.facts.is_called:
        return "no message comes back: its caller calls again"
    if situation.facts.ticks:
        return "the next tick comes whatever happens"
    return None


def _never_comes_late(situation: Situation) -> str | None:
    """A poller's machine may be away for days, as a worker may; what comes each day has other work
    by then.
    """
    if situation.polled and not situation.daily:
        return None
    return _looks_for_its_work(situation)


def _bounds_no_deaths(situation: Situation) -> str | None:
    """The work of a poller may kill it at each tick: its spec says whether that ends."""
    worker = situation.spec.worker
    is_promised = worker is not None and worker.deliveries is not None
    if situation.facts.ticks and is_promised:
        return None
    return _looks_for_its_work(situation)


@family("crash-loop", _NO_DEATH, unless=_bounds_no_deaths)
def crash_loop(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A message that kills its worker, or its child, each time: before the first effect. What
    counts deliveries has committed by then. Of a tick's work it is the first piece.
    """
    effects = [f"before:{name}" for name in situation.failing]
    later = [at for at in reversed(situation.kills) if at.startswith("before:")]
    at = next(iter([*effects, *later]), None)
    if at is None:
        return
    spec = situation.spec
    # A message may be dropped where another delivery seems to have the job: then a sweep brings it.
    is_swept = spec.worker is not None and bool(spec.recovers)
    moves = (SWEEP,) if is_swept else ()
    yield Schedule("crash-loop", (Fault("kill", at, EVERY),), moves)
    if situation.facts.victims_differ:
        yield Schedule("crash-loop", (Fault("kill-worker", at, EVERY),), moves)


@family("kill-lose", "as kill", unless=_has_no_message)
def kill_lose(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The message is lost with the process; then the application enqueues the job again."""
    for at in situation.kills:
        yield Schedule("kill-lose", (Fault("kill", at),), ("re-enqueue",), lose=True)
    if situation.polled:
        return
    for fault in _deaths_after_keyed_effects(situation):
        # It begins two seconds before midnight: five are enough.
        moves = ("wait=5", "re-enqueue")
        yield Schedule("kill-lose", (fault,), moves, lose=True, midnight=True)


@family("late-back", "no keyed effect takes place", unless=_never_comes_late)
def late_back(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The worker dies after a keyed effect, and the message, or a poller's next tick, comes when
    the receiver has forgotten the key: a little later than its window. Once in one step, and once in two: who goes
    by the time of the last attempt finds that it was not long ago. And once by a sweep, which may
    have it begin anew.
    """
    boundaries = {event.boundary for event in situation.boundaries}
    windows = {effect.name: read_window(effect) for effect in situation.effects}
    for fault in _deaths_after_keyed_effects(situation):
        if fault.at not in boundaries:
            continue
        window = windows[fault.at.removeprefix("after:").removesuffix("#1")]
        if window > _LONGEST_ABSENCE_S:
            continue  # by then it has been noticed that no worker is there
        moves = (f"wait={int(window * _LATER)}", "redeliver")
        yield Schedule("late-back", (fault,), moves, lose=True)
        if situation.spec.recovers:
            yield Schedule("late-back", (fault,), (moves[0], SWEEP), lose=True)
        before = fault.at.replace("after:", "before:", 1)
        steps = (f"wait={int(window * _MOST_OF_IT)}", "redeliver") * 2
        yield Schedule("late-back", (fault, Fault("kill", before, 2)), steps, lose=True)


def come_back_at_other_ages(histories: Iterable[History], spec: JobSpec) -> Iterator[Schedule]:
    """What shows by which clock the application takes a message for too old. Where it was too late
    for the receiver and the effect took place: shortly before that. Where the application kept it
    back: a whole number of days later, which `timedelta.seconds` takes for a few minutes.
    """
    windows = {effect.name: read_window(effect) for effect in spec.effects or ()}
    for history in histories:
        age = find_age(history)
        if age is None:
            continue
        window = windows[age.effect]
        if age.is_repeated and age.seconds > window:
            wait = window * _ALMOST_ALL_OF_IT
        elif not age.is_repeated and window <= _DAY_S:
            wait = math.ceil(age.seconds / _DAY_S) * _DAY_S + _HARDLY_MORE_S
        else:
            continue
        yield replace(history.schedule, moves=(f"wait={int(wait)}", "redeliver"))


def _deaths_after_keyed_effects(situation: Situation) -> Iterator[Fault]:
    for effect in situation.effects:
        if effect.guarantee == "keyed":
            yield Fault("kill", f"after:{effect.name}#1")


@family("fresh-interpreter", "nothing is delivered")
def fresh_interpreter(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Later deliveries in another interpreter. What a death loses by design is published again."""
    lossy = situation.facts.lossy
    yield Schedule("fresh-interpreter", moves=("redeliver",), fresh=True)
    again = ("re-enqueue",) if lossy else ()
    for event in situation.boundaries:
        if event["kind"] == "effect" and event["when"] == "after" and event.boundary:
            fault = Fault("kill", event.boundary)
            yield Schedule("fresh-interpreter", (fault,), again, lose=lossy, fresh=True)


def double_kill(histories: Iterable[History]) -> Iterator[Schedule]:
    """A second death in the delivery that follows a first one: its boundaries are its own."""
    for history in histories:
        schedule = history.schedule
        if "re-enqueue" in schedule.moves:
            continue  # what follows is a clock's next tick: after a death there comes one more
        if schedule.family == "kill" and schedule.faults[0].do == "kill":
            yield from _kill_again(history)


def _kill_again(history: History) -> Iterator[Schedule]:
    first = history.schedule.faults[0]
    for number in range(1, len(history.runs)):
        found = kill_points(find_boundaries(history, number))
        for at in found:
            yield Schedule("double-kill", (first, Fault("kill", at, number + 1)))
        if found:
            return  # the ticks before it found nothing to do


def kill_while_giving_up(histories: Iterable[History]) -> Iterator[Schedule]:
    """A death while a job is given up: before its last attempt gets to the error, while its retry
    is published, or its dead letter written.
    """
    for history in histories:
        if history.schedule.family in ("exhaustion", "permanent"):
            yield from _kill_around_fault(history)


def _kill_around_fault(history: History) -> Iterator[Schedule]:
    met: dict[int, Event] = {}  # which delivery -> the first fault in it
    for number, run in enumerate(history.runs):
        fault = run.first("fault")
        if fault is not None:
            met[number] = fault
    if not met:
        return
    first, last = min(met), max(met)
    for number in sorted({first, last}):
        fault = met[number]
        events = list(history.runs[number].events)
        split = events.index(fault)
        before, after = events[:split], events[split:]
        # What the last attempt has left before it meets the error: a claim, a counted attempt.
        is_last_of_several = number == last != first
        places: list[str] = []
        left = [event for event in before if event.kind == "at" and outlasts_process(event)]
        if is_last_of_several and left:
            places.append(str(fault["at"]))
        own = [event for event in after if event.kind == "at"]
        places += kill_points([*own, *find_callback_boundaries(history, number)])
        for at in places:
            faults = (*history.schedule.faults, Fault("kill", at, number + 1))
            yield Schedule(history.schedule.family, faults)
