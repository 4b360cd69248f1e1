"""The sweeps of `recovers`: what the application's scheduler runs beside the worker, and what
brings back a job that stood still.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.proof import ticks
from skillrun.proof.broker import list_sweeps
from skillrun.proof.exploring.called import Called
from skillrun.proof.exploring.others import Keys
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.history import Delivery, Event, History, Swept
from skillrun.proof.schedule import Schedule
from skillrun.proof.state import StateError, count, read_state

if TYPE_CHECKING:
    from skillrun.contract.job import Sweep

# Each wait is so many times the one before, while a sweep finds nothing: nobody knows what it takes
# for old, and hundreds of calls in vain would tell no more.
_GROWTH = 3.0
# What has stood still for a day is old to any sweep that comes more often.
_OLD_S = 24 * 3600.0
# Calls since the last delivery: what brings a job back again and again is bounded by the deliveries
# of a schedule, however many sweeps look in vain between two of them.
_MOST_CALLS = 60


@dataclass
class _Beat:
    """One sweep with the time at which it comes next."""

    sweep: Sweep
    due: float
    wait: float
    quiet: float = 0.0  # for how long it has found nothing
    looks: int = 0  # in that time

    def begin(self, now: float) -> None:
        """Lets the sweep come as often as it is declared to, beginning now: at the start, and after
        it found something.
        """
        self.wait, self.quiet, self.looks = self.sweep.every, 0.0, 0
        self.due = now + self.wait

    def put_off(self) -> None:
        """Lets the sweep, which has found nothing, come later each time, and a last time when it
        has found nothing for a day.
        """
        self.quiet += self.wait
        self.looks += 1
        left = max(_OLD_S - self.quiet, self.sweep.every)
        self.wait = min(self.wait * _GROWTH, left)
        self.due += self.wait

    @property
    def is_over(self) -> bool:
        """Whether the sweep has found nothing for so long, and at least twice, that it never
        will.
        """
        return self.quiet >= _OLD_S and self.looks > 1


class Sweeps(Called):
    """Calls each sweep after its period, until none of them finds anything any more."""

    def _let_sweeps_come(self, run: Run) -> None:
        """Calls the sweeps in turn, each when it is due."""
        beats: list[_Beat] = []
        for sweep in list_sweeps(self.workplace.spec, relay=run.emptied):
            beat = _Beat(sweep, 0.0, 0.0)
            beat.begin(run.now)
            beats.append(beat)
        calls, delivered = 0, run.count
        while calls < _MOST_CALLS:
            # A message that still waits met the limit of deliveries: sweeps change nothing more.
            if not beats or run.queue or run.hung is not None:
                return
            beat = min(beats, key=lambda candidate: candidate.due)
            if beat.due > run.now:
                self._pass_time(run, beat.due - run.now)
            # One look more is enough; whether a sweep ever does a job again that is done is asked
            # by the family that is named after it.
            was_done = self._is_done(run)
            found = self._sweep_once(run, beat.sweep)
            calls += 1
            if run.count > delivered:
                calls, delivered = 0, run.count
            if found:
                for other in beats:
                    other.begin(run.now)
            else:
                beat.put_off()
            if beat.is_over or (was_done and run.schedule.family != "sweep"):
                beats.remove(beat)

    def _sweep_a_day_later(self, run: Run) -> None:
        """Calls each sweep once, and the relay of an outbox, when whatever stands still is old to
        them.
        """
        self._pass_time(run, _OLD_S)
        # A relay may be named as a sweep, too.
        sweeps = {sweep.call: sweep for sweep in list_sweeps(self.workplace.spec, relay=True)}
        for sweep in sweeps.values():
            if run.hung is None:
                self._sweep_once(run, sweep)

    def call_publisher(
        self, call: str, arguments: Mapping[str, Any] | None, late_s: float, *, is_first: bool
    ) -> tuple[tuple[Delivery, ...], bool]:
        """What a call of the application's does by itself, so many seconds later than usual, and
        the relay of an outbox behind it; and whether all of that ended. `arguments` None: as a
        clock calls it. `is_first`: over the rows before the call of `enqueue`.
        """
        self.workplace.restore(first=is_first)
        self.processes.begin_schedule()
        run = Run(Schedule("publish"), now=self.base + ticks.STEP_S + late_s)
        if arguments is None:
            made = [self._run_process(run, "recover", [call], job=CALLER)]
        else:
            made = [self._run_process(run, "call", [call, dict(arguments)], job=CALLER)]
        enqueue = self.workplace.spec.enqueue
        if enqueue is not None and enqueue.relay is not None and run.hung is None:
            made.append(self._run_process(run, "recover", [enqueue.relay], job=CALLER))
        self.processes.end_schedule()
        return tuple(made), run.hung is None

    def _sweep_once(self, run: Run, sweep: Sweep) -> bool:
        """Calls a sweep and delivers what it publishes. Returns whether one of the two did
        anything for this job.
        """
        done_before = _count_work_done(run)
        call = self._call_sweep(run, sweep)
        failed = call.first("caller-raised")
        if failed is not None:
            note = f"recovers: {sweep.call} fails: {failed['error']}: {failed['text']}"
            if note not in run.notes:
                run.notes.append(note)
        swept = _count_published(sweep.call, call)
        call = self._drop_messages_of_other_jobs(call)
        every = len(call.events)
        call = self._drop_effects_for_other_jobs(call)
        run.swept.append(replace(swept, effects=every - len(call.events)))
        run.deliveries.append(call)
        self._take_published(run, call, 0)
        if self.polled:
            run.queue.append(Waiting(self.origin.messages[0], run.now, 0))
        self._drain_queue(run)
        return _count_work_done(run) > done_before

    def _call_sweep(self, run: Run, sweep: Sweep) -> Delivery:
        """Calls a sweep, and notes what it does to the rows of jobs that are not delivered."""
        keys = self._read_keys(run)
        queries = self.workplace.proof.state
        before, letters_before = read_state(self.store, queries), self._count_letters(run)
        call = self._run_process(run, "recover", [sweep.call], job=CALLER)
        after, letters = read_state(self.store, queries), self._count_letters(run)
        run.others.note(keys, self.learned.before, before, after, letters - letters_before)
        return call

    def _read_keys(self, run: Run) -> Keys:
        """By which the rows of the proof's own job are told from those of the others. None are,
        where a schedule delivers several jobs.
        """
        idempotency = self.workplace.spec.idempotency
        if idempotency is None or any(delivery.job > 0 for delivery in run.deliveries):
            return Keys()
        return Keys.read(self.payloads, idempotency.key)

    def _count_letters(self, run: Run) -> int:
        """How many dead letters the spec's own query counts; 0 where it has none."""
        query = self.workplace.proof.dead_letters
        if query is None:
            return 0
        with contextlib.suppress(StateError):
            return count(self.store, self.workplace.fill_in(query)) or 0
        return 0

    def _drop_effects_for_other_jobs(self, sweep: Delivery) -> Delivery:
        """A sweep's events without the effects that the sweep itself performed for other jobs."""
        if self.learned.once is None:
            return sweep
        names_of_job = set[tuple[str, str, str]]()
        for call in self.learned.once.performed():
            names_of_job.update(_list_names_of_call(call))
        kept: list[Event] = []
        for event in sweep.events:
            is_of_other_job = event.kind == "performed" and names_of_job.isdisjoint(
                _list_names_of_call(event)
            )
            if not is_of_other_job:
                kept.append(event)
        return replace(sweep, events=tuple(kept))

    def _is_done(self, run: Run) -> bool:
        """Whether every effect of the single run has taken place, and the state is as after it."""
        if self.learned.once is None:
            return False
        history = History(run.schedule, tuple(run.deliveries))
        performed = set()
        for call in history.performed():
            performed.add((call["effect"], call["key"], call["subject"]))
        for call in self.learned.once.performed():
            if (call["effect"], call["key"], call["subject"]) not in performed:
                return False
        wanted = self.learned.once.state
        state = read_state(self.store, self.workplace.proof.state)
        return run.others.undo(state, wanted) == wanted


def _count_published(name: str, call: Delivery) -> Swept:
    """What a sweep published, for whatever job: a message that goes out twice is counted once."""
    said = set[str]()
    for event in call.sent_to_handler:
        arguments = (event["message"] or {}).get("arguments")
        said.add(str(arguments if arguments is not None else event.number))
    return Swept(name, len(said))


def _list_names_of_call(call: Event) -> list[tuple[str, str, str]]:
    """By what the call of an effect is told from those of other jobs: its subject, and its key if
    it has one, each with the effect's name.
    """
    names = [("subject", call["effect"], str(call["subject"]))]
    if call["key"] is not None:
        names.append(("key", call["effect"], str(call["key"])))
    return names


def _count_work_done(run: Run) -> int:
    """How many effects took place and how many errors were met, in all but the publishing calls."""
    count = 0
    for delivery in run.deliveries:
        if delivery.op == "call":
            continue
        for event in delivery.events:
            if event.kind in ("performed", "fault"):
                count += 1
    return count
