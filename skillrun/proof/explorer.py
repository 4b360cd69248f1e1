"""Runs one schedule: skillrun is the broker and the clock, and the history is what the processes
reported.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from datetime import time as clock_time
from typing import Any

from skillrun.proof import ticks
from skillrun.proof.changed_rows import change_rows, find_left
from skillrun.proof.clones import clone_rows
from skillrun.proof.exploring.messages import Messages, only_leaves_work
from skillrun.proof.exploring.outlasting import Outlasting
from skillrun.proof.exploring.publisher import begins_with_call, is_of_publisher
from skillrun.proof.exploring.run import NotPublished, Origin, Run, Waiting
from skillrun.proof.exploring.second_call import SecondCalls
from skillrun.proof.exploring.undoing import Undoing
from skillrun.proof.history import (
    History,
    is_dead_letter,
    may_delete,
    name_scratch_file,
)
from skillrun.proof.jobs import POISON, list_texts
from skillrun.proof.rivals import ChangedRow, Rival, find_changed_rows, read_contents
from skillrun.proof.schedule import (
    FORGET,
    LATE_SWEEP,
    ONCE,
    RESTORE,
    SWEEP,
    Fault,
    Schedule,
)
from skillrun.proof.secrets import find_places
from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.state import StateError, count, read_state, read_states
from skillrun.proof.store_watch import WATCHED, StoreWatch
from skillrun.proof.varied import VARIED

# How often a schedule is run, where another process held a lock for longer than the machine's clock
# allowed.
_TIMES = 3
# Where each day's ticks are a job of their own, all of its ticks are to be seen: the first of these
# times at which there is something to do. At noon, and for the jobs of a day at one, no day ends
# within a schedule.
_TIMES_OF_DAY = (*map(clock_time, (1, 3, 6, 9)), ticks.NOON)
_TOO_BUSY = (
    "a lock was not given in time, though its holder would have gone on: this machine is too busy"
    " for the proof"
)


class Explorer(Messages, Undoing, Outlasting, SecondCalls):
    """Runs schedules in one workplace."""

    # -- messages

    def begin(self, payloads: Mapping[int, Any]) -> None:
        """Has every message published once: job 0 through the application's own way where the spec
        names it.

        What that call leaves behind is part of the world that each schedule begins with.
        """
        self._boot_workplace(payloads)
        if self._is_published_by_clock():
            self._go_by_ticks()
        messages: dict[int, dict[str, Any]] = {}
        if not self.facts.ticks:
            messages[0] = self._publish_first_message(payloads[0])
            self._learn_from_message(messages[0])
            self.workplace.take_snapshot()
        self.origin = Origin(messages)
        for job, payload in payloads.items():
            if job in messages or job >= VARIED:
                continue
            try:
                messages[job] = self._publish_message(job, payload)
            except NotPublished as error:
                self.unpublished[job] = error.why
            self.workplace.restore()
        self._adopt_published_job(messages)
        if self.clocked:
            self._add_later_ticks(messages)
        self._publish_varied(messages)
        if self.polled:
            self.refused = {job for job in messages if job < 0 and not self._takes_poison(job)}
            self.caller = self._bring_work(Run(Schedule("publish")), 0)
            self.workplace.restore()

    def begin_as(self, other: Explorer) -> None:
        """Takes another explorer's messages and files: keys made of ids must be the same in
        both.
        """
        self._boot_workplace(other.payloads)
        if other.facts.ticks and not self.facts.ticks:
            self._go_by_ticks()
        self.origin, self.unpublished, self.refused = other.origin, other.unpublished, other.refused
        self._learn_from_message(self.origin.messages.get(0, {}))
        if self.workplace.servers and self.workplace.spec.enqueue and not self.facts.ticks:
            self._publish_first_message(self.payloads[0])
        self.workplace.folders.adopt(other.workplace.folders)
        self.workplace.take_snapshot()

    def bring(self, jobs: tuple[int, ...]) -> None:
        """Makes the application's own calls for further jobs before every schedule, and before its
        call for the first one: what they work on is what these calls write. Their messages are
        those that are published then. Where the first one's is another message then, nothing is
        brought.
        """
        self.brought = jobs
        messages, caller = self.origin.messages, self.caller
        self.workplace.restore(first=True)
        published = {one.job: one.message for one in self._publish_brought().queue}
        first = None
        with contextlib.suppress(NotPublished):
            first = self._publish_first_message(self.payloads[0])
        # It may go by what the others have left, be it a number that is one higher.
        if first is None or first.get("arguments") != messages[0].get("arguments"):
            self.brought, self.caller = (), caller
            return
        messages |= {**published, 0: first}
        self.workplace.take_snapshot()

    def bring_as(self, other: Explorer) -> None:
        """The same as another explorer, in whose files it is done already."""
        if self.brought == other.brought:
            return
        self.brought = other.brought
        self.workplace.restore(first=True)
        if self.workplace.servers:
            self._publish_brought()
            self._publish_first_message(self.payloads[0])
        self.workplace.folders.adopt(other.workplace.folders)
        self.workplace.take_snapshot()

    def _boot_workplace(self, payloads: Mapping[int, Any]) -> None:
        self.facts = self.workplace.zygote().facts
        self.processes.modules |= set(self.facts.modules)
        self.payloads = dict(payloads)
        self._choose_clock()

    def _is_published_by_clock(self) -> bool:
        """Whether the application's call only leaves work behind, and a clock of the job's library
        brings the message that looks for it: a relay of an outbox, say.
        """
        enqueue = self.workplace.spec.enqueue
        if self.facts.ticks or self.facts.is_called or enqueue is None or enqueue.relay is not None:
            return False
        if not ticks.is_named_by_clock(self.workplace.spec, self.facts):
            return False
        run = Run(Schedule("publish"))
        call = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)])
        self.workplace.restore()
        return run.hung is None and only_leaves_work(call)

    def _go_by_ticks(self) -> None:
        """From now on the next tick brings the job, whatever becomes of this one's message."""
        self.facts = ticks.go_by_ticks(self.workplace.spec, self.facts)
        self._choose_clock()

    def _choose_clock(self) -> None:
        spec = self.workplace.spec
        self.polled = ticks.is_polled(spec, self.facts)
        self.clocked = ticks.is_clocked(spec, self.facts)
        is_cron = spec.trigger is not None and spec.trigger.type == "cron"
        if self.clocked or (self.polled and is_cron):
            self._begin_at(ticks.NOON)

    def _begin_at(self, moment: clock_time) -> None:
        """Far from midnight, where no server has a clock of its own."""
        trigger = self.workplace.spec.trigger
        if trigger is not None and not self.workplace.servers:
            self.base = ticks.find_s_to_time(moment, trigger.timezone)

    def find_due_time(self) -> None:
        """A cron job may ask the clock itself, and work at one time of the day alone: where it does
        nothing at noon, the first of its ticks at which it does something is where all begins.
        """
        trigger = self.workplace.spec.trigger
        is_cron = trigger is not None and trigger.type == "cron"
        if not is_cron or not self.facts.ticks or self.workplace.servers:
            return
        if not self.workplace.spec.effects or self._works_at(ticks.NOON):
            return
        for moment in ticks.list_times(trigger.schedule if trigger is not None else None):
            if self._works_at(moment):
                self.due = moment
                return
        self._begin_at(ticks.NOON)

    def _works_at(self, moment: clock_time) -> bool:
        """Whether a tick at a time of the day calls an effect; later schedules begin then."""
        self._begin_at(moment)
        return bool(self.run(Schedule("once")).performed())

    def find_days(self) -> None:
        """Whether the tick of the next day does other work under other keys, although no work was
        left or brought.
        """
        day = self.run(Schedule("once", moves=(f"wait={int(ticks.DAY_S)}", "redeliver")))
        # What the calls of each tick are about.
        works: list[set[tuple[Any, Any]]] = []
        for run in day.runs:
            works.append({(call["subject"], call["key"]) for call in run.all("performed")})
        done: set[Any] = set()
        for call in works[0] if works else ():
            done |= set(call)
        others = [call for calls in works[1:] for call in calls]
        is_other_work = bool(others) and not any(done & set(call) for call in others)
        if is_other_work and not day.hung:
            self.daily = True
            if self.due is None:
                self._begin_at_first_work()

    def _begin_at_first_work(self) -> None:
        for moment in _TIMES_OF_DAY:
            if self._works_at(moment):
                return

    def follow_clock(self, other: Explorer) -> None:
        """Takes over when another explorer's schedules begin, and what was found of its ticks."""
        self.base, self.daily, self.due = other.base, other.daily, other.due

    # -- one schedule

    def state_before(self) -> dict[str, Any]:
        """What the state queries answer before anything is delivered; an error is a text, as in
        `History.state`.
        """
        if self.is_within_second_world:
            self.workplace.restore_second()
        else:
            self.workplace.restore()
        return read_state(self.store, self.workplace.proof.state)

    def learn_left(
        self, kind: str, schedules: Iterable[Schedule], *, with_changed: bool = False
    ) -> None:
        """Keeps the rows that these schedules leave, for a kind of world that has more of them;
        `with_changed`: and those that they have changed.
        """
        self.workplace.restore()
        before = read_contents(self.store)
        kept = self.left.setdefault(kind, {})
        for schedule in schedules:
            self.run(schedule)
            left = find_left(before, read_contents(self.store), with_changed=with_changed)
            for table, rows in left.items():
                kept.setdefault(table, {}).update(rows)

    def watch_rows(self) -> list[ChangedRow]:
        """The rows that a single run changes."""
        self.workplace.restore()
        before = read_contents(self.store)
        self.run(ONCE)
        after = read_contents(self.store)
        self.keep_learned(replace(self.learned, contents_after=after))
        return find_changed_rows(self.store, before, after)

    def find_other_ends(
        self, rows: Iterable[ChangedRow], schedules: Iterable[Schedule]
    ) -> frozenset[tuple[str, str, Any]]:
        """(table, column, value) of each value that one of these schedules leaves in a row: who
        gives the job up, and what that writes, is not always seen in the code that it calls.
        """
        changed = list(rows)
        found: set[tuple[str, str, Any]] = set()
        for schedule in schedules:
            self.run(schedule)
            contents = read_contents(self.store)
            for row in changed:
                name = row.table.name
                end = contents.get(name, {}).get(tuple(row.where.values()), {})
                for column in row.decided:
                    found.add((name, column, end.get(column)))
        return frozenset(found)

    def let_come_first(self, rival: Rival, first: str) -> None:
        """Learns how the row ends where a change is there before the job's first boundary, and so
        before it reads anything. What the message says is older than the change, and no value that
        the job gives of itself.
        """
        told = list_texts(self.payloads[0])
        history = self.run(Schedule("rival", (Fault("rival", first, error=rival.text),)))
        for rivalry in history.rivalries:
            if rivalry.landed is not None:
                own = {}
                for column, value in rivalry.final.items():
                    if str(value) not in told:
                        own[column] = value
                known = replace(rival, end_after=own)
                rivals = {**self.learned.rivals, rival.text: known}
                self.keep_learned(replace(self.learned, rivals=rivals))

    def run(self, schedule: Schedule) -> History:
        """The history of a schedule, from the snapshot; where the application itself fails, from
        before its call.

        One in which somebody waited in vain for a lock that another process held says nothing:
        waiting for a lock is the one thing that takes the machine's own time.
        """
        for _ in range(_TIMES):
            history = self._run_once(schedule)
            waited = any(delivery.first("waited") for delivery in history.deliveries)
            if not waited or not schedule.crowded:
                return history
        return replace(history, notes=(*history.notes, _TOO_BUSY))

    def _run_once(self, schedule: Schedule) -> History:
        return self.finish_schedule(self.begin_schedule(schedule))

    def begin_schedule(self, schedule: Schedule, until: int | None = None) -> Run:
        """From the snapshot to where nothing waits any more. `until`: after so many deliveries
        somebody else goes on, and what waits stays.
        """
        if self.begins_with_second_call(schedule):
            self.workplace.restore_second()
        else:
            self.workplace.restore(first=begins_with_call(schedule))
        # Where a schedule itself calls for several jobs, it finds none of them there.
        if self.brought and begins_with_call(schedule) and not schedule.called:
            self._publish_brought()
        self.processes.begin_schedule()
        run = Run(schedule, now=self._find_beginning(schedule), until=until)
        if schedule.undone:
            self._undo_call(run)
        self._clone_rows(run)
        if schedule.world is not None:
            change_rows(self.store, self.workplace.spec, schedule.world, self.left)
        self._begin_watch(run)
        self._start_schedule(run)
        self._drain_queue(run)
        if run.schedule.outlasting == run.count + 1 and run.queue:
            self._deliver_outlasting(run)
            self._drain_queue(run)
        return run

    def finish_schedule(self, run: Run) -> History:
        """What follows once nothing waits, and what is left then."""
        # What outlasts its lock has had them made while it stood still.
        moves = () if run.is_outlasted else run.schedule.moves
        for move in moves:
            self._make_move(run, move)
            self._drain_queue(run)
        if run.emptied:
            self._let_sweeps_come(run)
        return self._conclude_schedule(run)

    def _begin_watch(self, run: Run) -> None:
        """Few schedules are looked into, once at each end: see `WATCHED`."""
        if run.schedule.family not in WATCHED:
            return
        with self._unless_unknown(run):
            run.watch = StoreWatch(self.workplace.list_watched(self.store))

    @contextlib.contextmanager
    def _unless_unknown(self, run: Run) -> Iterator[None]:
        """A store that cannot be compared is said."""
        try:
            yield
        except (StateError, ServiceFailed) as error:
            run.watch = None
            run.notes.append(f"what changed in the stores could not be compared: {error}")

    def _clone_rows(self, run: Run) -> None:
        """What varied payloads work on."""
        jobs = _find_varied_jobs(run.schedule)
        payloads = {job: self.payloads[job] for job in jobs if job in self.origin.messages}
        if payloads:
            run.cloned = clone_rows(self.store, self.workplace.spec, payloads)

    def _find_beginning(self, schedule: Schedule) -> float:
        """Where virtual time stands at a schedule's beginning."""
        if schedule.midnight:
            return ticks.find_s_to_midnight(self.workplace.proof.env.get("TZ"))
        if schedule.day:
            trigger = self.workplace.spec.trigger
            zone = trigger.timezone if trigger is not None else None
            return ticks.find_s_to_day(date.fromisoformat(schedule.day), zone)
        return self.base + ticks.STEP_S + schedule.late

    def _start_schedule(self, run: Run) -> None:
        """Puts the first message into the queue, or runs what stands in its place."""
        schedule = run.schedule
        if is_of_publisher(schedule):
            self._call_publisher(run)
            return
        if schedule.called:
            self._publish_called(run)
            return
        job = 0
        if schedule.poison is not None:
            job = POISON - schedule.poison
        is_alone = schedule.family == "alone"
        if not is_alone:
            self._bring_work(run, job)
        message = self.origin.messages[job]
        if schedule.early:
            self._deliver_early(run, message)
            return
        if schedule.outlasting is None and "stall" in schedule.does:
            self._deliver_stalled(run, message)
            return
        if schedule.beside is not None and schedule.same:
            self._deliver_in_one_process(run, message)
            return
        if schedule.copies > 1 or schedule.beside is not None:
            self._deliver_at_once(run, message)
            return
        begins_with_tick = bool(schedule.moves) and schedule.moves[0].startswith("tick=")
        if is_alone or begins_with_tick:
            return  # the moves bring the messages
        if schedule.first is not None:
            earlier = self.origin.messages[schedule.first]
            run.queue.append(Waiting(earlier, run.now, schedule.first))
            self._drain_queue(run)
        run.queue.append(Waiting(message, run.now, job))
        for _ in range(schedule.waiting - 1):
            # Messages of their own, as a sweep leaves them. A library may refuse a second one.
            with contextlib.suppress(NotPublished):
                self._enqueue_again(run, job)

    def _deliver_stalled(self, run: Run, message: dict[str, Any]) -> None:
        """A delivery stands still, time passes, the same message is delivered again, then it goes
        on.
        """
        first = self._fork_process(
            run, "deliver", [message], plan=self.orders.of_delivery(run.schedule, 1)
        )
        run.count += 1
        if self.processes.follow([first], first) != "paused":
            self._finish_process(run, [first], first)
            self._settle_delivery(
                run, Waiting(message, run.now, 0), self._read_delivery(run, first)
            )
            return
        began = run.now
        late = next(iter(self.orders.of_late_errors(run.schedule)), None)
        # As much later and with the same error where somebody waits for what it holds.
        first.order = lambda: {"clock": run.now - began, "then": late}
        for move in run.schedule.moves:
            self._make_move(run, move)
        # An answer that comes late comes at its time, before the others' later attempts. Without
        # one it stands until nothing else waits.
        until = None
        if late is not None:
            until = run.now
        self._drain_beside(run, first, until=until)
        if not first.running.ended:
            first.go_on()
            self._finish_process(run, [first], first)
        self._settle_delivery(run, Waiting(message, run.now, 0), self._read_delivery(run, first))

    def _make_move(self, run: Run, move: str) -> None:
        name, _, value = move.partition("=")
        if name == "wait":
            self._pass_time(run, float(value))
        elif name == "redeliver":
            message = {**self.origin.messages[0], "redelivered": True}
            run.queue.append(Waiting(message, run.now, 0))
            if self.polled and run.schedule.lose:
                self._follow_return(run)
        elif name == "re-enqueue":
            self._enqueue_again(run, 0)
        elif name == "job":
            self._bring_work(run, int(value))
            message = self.origin.messages[int(value)]
            run.now = max(run.now, self.base + float(message.get("later", 0.0)))
            run.queue.append(Waiting(message, run.now, int(value)))
        elif name == FORGET:
            self._forget_written_keys(run)
        elif name == RESTORE:
            self.workplace.restore_database()
        elif name == SWEEP:
            self._let_sweeps_come(run)
        elif name == LATE_SWEEP:
            self._sweep_a_day_later(run)
        elif name == "varied":
            self._deliver_varied(run)
        elif name == "tick":
            run.now = max(run.now, float(value) - time.time())
            run.queue.append(Waiting(self.origin.messages[0], run.now, 0))

    def _deliver_varied(self, run: Run) -> None:
        """Each once, whatever comes of it: what it asks for afterwards is not done."""
        for job in _find_varied_jobs(run.schedule):
            message = self.origin.messages.get(job)
            if message is None or run.hung is not None:
                continue
            delivery = self._run_process(run, "deliver", [message], job=job)
            run.deliveries.append(delivery)
            if delivery.raised is not None:
                # What a schedule left in its process is not handed on to the next one.
                self.processes.end_schedule()

    def _enqueue_again(self, run: Run, job: int) -> None:
        self._bring_work(run, job)
        delivery = self._run_process(
            run, "publish", self._make_publish_arguments(self.payloads[job]), job=job
        )
        run.deliveries.append(delivery)
        run.queue.append(Waiting(self._read_message(delivery, job), run.now, job))

    # -- the end

    def _conclude_schedule(self, run: Run) -> History:
        self.processes.end_schedule()
        if run.watch is not None:
            with self._unless_unknown(run):
                run.watch.look()
        asked = self.workplace.proof.state, self.learned.unread
        deletes = may_delete(run.deliveries)
        state, tables = read_states(self.store, asked, has_deleted=deletes)
        dead = self._count_dead_letters(run)
        if dead is not None:
            dead = max(dead - run.others.letters, 0)
        return History(
            run.schedule,
            tuple(run.deliveries),
            run.others.undo(state, self.learned.once.state if self.learned.once else {}),
            dead,
            pending=len(run.queue),
            lost=run.lost,
            kept=run.dead,
            early=run.early,
            hung=run.hung,
            notes=tuple(run.notes),
            payloads=self._collect_payloads(run),
            cloned=run.cloned,
            files=self._read_written_files(run),
            tables=tables,
            changes=frozenset(run.watch.changes if run.watch else ()),
            rivalries=self._conclude_rivalries(run),
            undone=self.learned.undone if run.schedule.undone else (),
            echoed=self._find_echoes(run),
            recorded=self._find_recorded_secrets(run),
            swept=tuple(run.swept),
        )

    def _find_echoes(self, run: Run) -> tuple[str, ...]:
        """Where the database repeats a secret that only a provider's error can have told it."""
        if not run.schedule.echo or not self.learned.contents_after:
            return ()  # nobody knows where it stands anyway
        return self._find_new_places(self.learned.given.values())

    def _find_recorded_secrets(self, run: Run) -> tuple[str, ...]:
        """Where what is written of a job that was given up repeats a secret of its rows."""
        if (
            "raise" not in run.schedule.does
            or not self.learned.contents_after
            or not self.learned.secrets
        ):
            return ()
        return self._find_new_places(self.learned.secrets)

    def _find_new_places(self, secrets: Collection[str]) -> tuple[str, ...]:
        """The columns that hold one of the secrets, and do not after a single run."""
        known = set(find_places(self.learned.contents_after, secrets))
        found = find_places(read_contents(self.store), secrets)
        return tuple(place for place in found if place not in known)

    def _read_written_files(self, run: Run) -> dict[str, str | None]:
        """What stands at the end in each file of the scratch that a delivery is said to have
        written.
        """
        found: dict[str, str | None] = {}
        for delivery in run.deliveries:
            for event in delivery.all("undeclared"):
                name = name_scratch_file(event)
                if name is not None:
                    found[name] = self.workplace.folders.digest_file(name)
        return found

    def _collect_payloads(self, run: Run) -> dict[int, Any]:
        """Of the other jobs that were delivered, or published and dropped. What comes without the
        application's call, and a later tick, has the payload of the first.
        """
        found: dict[int, Any] = {}
        jobs = list(run.schedule.called)
        for delivery in run.deliveries:
            jobs.append(delivery.job)
        for job in jobs:
            has_first_payload = ticks.NEXT <= job < VARIED
            if job and job in self.payloads and not has_first_payload:
                found[job] = self.payloads[job]
        return found

    def _count_dead_letters(self, run: Run) -> int | None:
        """By the spec's own query, in the library's own place, or published to the queue that the
        spec names; None where nobody knows. A query that fails is noted.
        """
        query = self.workplace.proof.dead_letters
        if query is not None:
            try:
                return count(self.store, self.workplace.fill_in(query))
            except StateError as error:
                run.notes.append(f"proof.dead_letters: {error}")
        letter = self.workplace.spec.dead_letter
        counted: int | None = run.dead if self.facts.counts_dead else None
        if letter is None or letter.kind in ("table", "none"):
            return None
        if letter.kind == "framework":
            return counted
        sent = 0
        for delivery in run.deliveries:
            published = delivery.all("published")
            sent += sum(is_dead_letter(event, letter.where) for event in published)
        return sent + (counted or 0)


def _find_varied_jobs(schedule: Schedule) -> list[int]:
    """The numbers of the jobs whose varied payloads it delivers."""
    return [VARIED + number - 1 for number in schedule.varied]
