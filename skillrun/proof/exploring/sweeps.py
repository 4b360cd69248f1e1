"""The sweeps of `recovers`: what the application's scheduler runs beside the worker, and what brings back
a job that stood still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.proof.broker import list_sweeps
from skillrun.proof.exploring.called import Called
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.state import read_state

if TYPE_CHECKING:
    from skillrun.contract.job import Sweep

# Each wait is so many times the one before, while a sweep finds nothing: nobody knows what it takes
# for old, and hundreds of calls in vain would tell no more.
_GROWTH = 3.0
# What has stood still for a day is old to any sweep that comes more often.
_OLD_S = 24 * 3600.0
# Calls of one schedule: a sweep that brings a job back for ever meets the limit of deliveries first.
_MOST_CALLS = 60


@dataclass
class _Beat:
    """When a sweep comes next."""

    sweep: Sweep
    due: float
    wait: float
    quiet: float = 0.0  # for how long it has found nothing

    def begin(self, now: float) -> None:
        """It found something: from now on it comes as often as it is declared to."""
        self.wait, self.quiet = self.sweep.every, 0.0
        self.due = now + self.wait

    def put_off(self) -> None:
        self.quiet += self.wait
        self.wait *= _GROWTH
        self.due += self.wait

    @property
    def is_over(self) -> bool:
        """It has found nothing for so long that it will never find anything; at least twice."""
        return self.quiet >= _OLD_S and self.wait > self.sweep.every * _GROWTH


class Sweeps(Called):
    """Calls each sweep after its period, until none of them finds anything any more."""

    def _let_sweeps_come(self, run: Run) -> None:
        sweeps = list_sweeps(self.setting.spec, relay=run.emptied)
        beats = [_Beat(sweep, 0.0, 0.0) for sweep in sweeps]
        for beat in beats:
            beat.begin(run.now)
        for _ in range(_MOST_CALLS):
            if not beats or run.queue or run.hung is not None:
                return  # what still waits met the limit of deliveries
            beat = min(beats, key=lambda one: one.due)
            if beat.due > run.now:
                self._pass_time(run, beat.due - run.now)
            # One look more is enough; whether a sweep ever does a job again that is done is asked by
            # the family that is named after it.
            was_done = self._is_done(run)
            if self._sweep_once(run, beat.sweep):
                for each in beats:
                    each.begin(run.now)
            else:
                beat.put_off()
            if beat.is_over or (was_done and run.schedule.family != "sweep"):
                beats.remove(beat)

    def _sweep_once(self, run: Run, sweep: Sweep) -> bool:
        """Whether it, or the delivery that it brought about, did anything for this job."""
        known = _count_deeds(run)
        made = self._run_process(run, "recover", [sweep.call], job=CALLER)
        failed = made.first("caller-raised")
        if failed is not None:
            note = f"recovers: {sweep.call} fails: {failed['error']}: {failed['text']}"
            run.notes += [note] if note not in run.notes else []
        made = self._leave_other_work(self._leave_other_jobs(made))
        run.deliveries.append(made)
        self._take_published(run, made, 0)
        if self.polled:
            run.queue.append(Waiting(self.origin.messages[0], run.now, 0))
        self._drain_queue(run)
        return _count_deeds(run) > known

    def _leave_other_work(self, sweep: Delivery) -> Delivery:
        """Without the effects that it brings about by itself for other jobs."""
        if self.once is None:
            return sweep
        mine = {about for call in self.once.performed() for about in _say_what(call)}
        kept: list[Event] = []
        for event in sweep.events:
            if event.kind != "performed" or mine & set(_say_what(event)):
                kept.append(event)
        return replace(sweep, events=tuple(kept))

    def _is_done(self, run: Run) -> bool:
        """Whether everything that the single run does has been done."""
        if self.once is None:
            return False
        seen = History(run.schedule, tuple(run.deliveries))
        done = {(call["effect"], call["key"], call["subject"]) for call in seen.performed()}
        for call in self.once.performed():
            if (call["effect"], call["key"], call["subject"]) not in done:
                return False
        return read_state(self.store, self.setting.proof.state) == self.once.state


def _say_what(call: Event) -> list[tuple[str, str, str]]:
    """What tells a call from those of other jobs."""
    about = [("subject", call["effect"], str(call["subject"]))]
    if call["key"] is not None:
        about.append(("key", call["effect"], str(call["key"])))
    return about


def _count_deeds(run: Run) -> int:
    """Effects that took place, and errors that were met."""
    found = 0
    for delivery in run.deliveries:
        if delivery.op != "call":
            found += sum(event.kind in ("performed", "fault") for event in delivery.events)
    return found
