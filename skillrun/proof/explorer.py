"""Runs one schedule: skillrun is the broker and the clock, and the history is what the processes
reported.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.clones import clone_rows
from skillrun.proof.history import (
    Delivery,
    Event,
    History,
    is_dead_letter,
    lasts,
    name_scratch_file,
)
from skillrun.proof.jobs import DIRECT, POISON, is_same_job, is_valid, read_payload
from skillrun.proof.orders import Orders, victim
from skillrun.proof.processes import Process, Processes
from skillrun.proof.schedule import Schedule
from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.setting import Setting
from skillrun.proof.state import StateError, count, read_state
from skillrun.proof.store_watch import WATCHED, StoreWatch
from skillrun.proof.varied import VARIED

_STEP_S = 1.0  # between one delivery and the next
# How often a schedule is run, where another process held a lock for longer than the machine's clock
# allowed.
_TIMES = 3
# At noon, and for the jobs of a day at one, no day ends within a schedule.
_NOON = 12
# Where each day's ticks are a job of their own, all of its ticks are to be seen: the first of these
# hours at which there is something to do.
_HOURS = (1, 3, 6, 9, _NOON)
# The last tick of the day that begins at one: half an hour before the next day.
_REST_OF_DAY_S = 22.5 * 3600.0
# A callback counts a quarter of a delivery towards the limit: a library may call several after one.
_CALLBACKS_A_DELIVERY = 4
_TOO_BUSY = (
    "a lock was not given in time, though its holder would have gone on: this machine is too busy"
    " for the proof"
)
CALLER = -2


@dataclass
class Waiting:
    """A message in the virtual queue."""

    message: dict[str, Any]
    due: float
    job: int
    op: str = "deliver"  # "callback": it is for what the library calls after the handler
    again: bool = False  # a callback's faults come about once


@dataclass
class _Run:
    """What a schedule has come to so far."""

    schedule: Schedule
    now: float = 0.0
    queue: list[Waiting] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    count: int = 0  # deliveries to the handler so far
    callbacks: int = 0  # deliveries to its callbacks
    dead: int = 0
    lost: int = 0
    early: int = 0
    hung: str | None = None
    notes: list[str] = field(default_factory=list)
    idle: int = 0  # ticks that found nothing to do
    tries: int = 0  # ticks that met a fault
    follow: list[float] = field(default_factory=list)  # when a poller is looked at again
    since: float = 0.0
    # Varied payload -> what its rows are copies of.
    cloned: dict[int, tuple[str, ...]] = field(default_factory=dict)
    watch: StoreWatch | None = None


@dataclass(frozen=True)
class Origin:
    """The proof's messages: by job, and what the caller reported when it published the first."""

    # 0: the proof's own, 1..: distinct jobs, -1-N: poison payload N.
    messages: Mapping[int, dict[str, Any]]


class Explorer:
    """Runs schedules in one setting."""

    def __init__(self, setting: Setting, limit: int = 24) -> None:
        self.setting, self.limit = setting, limit
        self.facts = BootFacts()
        self.origin = Origin({})
        self.processes = Processes(setting)
        self.store = setting.store()
        self.payloads: dict[int, Any] = {}
        self.caller: Delivery | None = None  # the application's own publish
        self.unpublished: dict[int, str] = {}  # job -> why
        self.refused: set[int] = set()  # poison that the application itself takes no job from
        self.orders = Orders(setting.spec.failures)
        self.base = 0.0  # where virtual time begins
        # The hour at which the schedules begin where each day's ticks are a job of their own; 0 where
        # they are not.
        self.daily = 0
        # Table that is written and that no state query reads -> a query of all of it.
        self.unread: dict[str, str] = {}

    # -- messages

    def begin_as(self, other: Explorer) -> None:
        """Takes another explorer's messages and files: keys made of ids must be the same in
        both.
        """
        self._boot_setting(other.payloads)
        self.origin, self.unpublished, self.refused = other.origin, other.unpublished, other.refused
        if self.setting.servers and self.setting.spec.enqueue and not self.facts.ticks:
            self._publish_first_message(self.payloads[0])
        self.setting.place.adopt(other.setting.place.kept)
        self.setting.keep()

    def _boot_setting(self, payloads: Mapping[int, Any]) -> None:
        self.facts = self.setting.zygote().facts
        self.processes.modules |= set(self.facts.modules)
        self.payloads = dict(payloads)
        spec = self.setting.spec
        self.polled = ticks.is_polled(spec, self.facts)
        self.clocked = ticks.is_clocked(spec, self.facts)
        is_cron = spec.trigger is not None and spec.trigger.type == "cron"
        if self.clocked or (self.polled and is_cron):
            self._begin_at(_NOON)

    def _begin_at(self, hour: int) -> None:
        """Far from midnight, where no server has a clock of its own."""
        trigger = self.setting.spec.trigger
        if trigger is not None and not self.setting.servers:
            self.base = ticks.at_hour(hour, trigger.timezone)

    def find_days(self) -> None:
        """Whether the tick of the next day does other work under other keys, although no work was
        left or brought.
        """
        day = self.run(Schedule("once", moves=(f"wait={int(ticks.DAY_S)}", "redeliver")))
        works: list[set[tuple[Any, Any]]] = []  # of each tick, what its calls are about
        for run in day.runs:
            works.append({(call["subject"], call["key"]) for call in run.all("performed")})
        done: set[Any] = set()
        for call in works[0] if works else ():
            done |= set(call)
        others = [call for calls in works[1:] for call in calls]
        is_other_work = bool(others) and not any(done & set(call) for call in others)
        if is_other_work and not day.hung:
            self.set_daily(self._find_hour())

    def _find_hour(self) -> int:
        for hour in _HOURS:
            self._begin_at(hour)
            if self.run(Schedule("once")).performed():
                return hour
        return _NOON

    def set_daily(self, hour: int) -> None:
        """Once it is found that each day's ticks are a job of their own, it stays so."""
        if hour and not self.daily:
            self.daily = hour
            self._begin_at(hour)

    def begin(self, payloads: Mapping[int, Any]) -> None:
        """Has every message published once: job 0 through the application's own way where the spec
        names it.

        What that call leaves behind is part of the world that each schedule begins with.
        """
        self._boot_setting(payloads)
        messages: dict[int, dict[str, Any]] = {}
        if not self.facts.ticks:
            messages[0] = self._publish_first_message(payloads[0])
            self.setting.keep()
        self.origin = Origin(messages)
        for job, payload in payloads.items():
            if job in messages or job >= VARIED:
                continue
            try:
                messages[job] = self._publish_message(job, payload)
            except NotPublished as error:
                self.unpublished[job] = error.why
            self.setting.restore()
        self._adopt_published_job(messages)
        if self.clocked:
            self._add_later_ticks(messages)
        self._publish_varied(messages)
        if self.polled:
            self.refused = {job for job in messages if job < 0 and not self._takes_poison(job)}
            self.caller = self._bring_work(_Run(Schedule("publish")), 0)
            self.setting.restore()

    def _adopt_published_job(self, messages: dict[int, dict[str, Any]]) -> None:
        """The application's own call may publish another job than the first example, say of a row
        that is still a draft. Then that is the proof's own message, and the example one more job.
        """
        spec = self.setting.spec
        published = messages.get(0, {}).get("arguments")
        direct = messages.get(DIRECT, {}).get("arguments")
        if published is None or direct is None or published == direct:
            return
        for event in self.caller.retries if self.caller is not None else ():
            # One call may publish several jobs: the example is among them.
            if event["message"].get("arguments") == direct:
                messages[0] = dict(event["message"])
                return
        example = self.payloads[0]
        payload = read_payload(published, example)
        if payload is None or not is_valid(payload, spec):
            return  # `enqueue.other-job` says so
        for job in tuple(messages):
            if 0 < job < DIRECT and is_same_job(spec, self.payloads[job], payload):
                del messages[job], self.payloads[job]
        if not is_same_job(spec, example, payload):
            number = max(job for job in self.payloads if job < DIRECT) + 1
            self.payloads[number], messages[number] = example, messages[DIRECT]
        self.payloads[0], messages[DIRECT] = payload, messages[0]

    def _publish_message(self, job: int, payload: Any) -> dict[str, Any]:
        """Raises NotPublished."""
        arguments = self._make_publish_arguments(payload)
        made = self._run_process(_Run(Schedule("publish")), "publish", arguments, job=job)
        return self._read_message(made, job)

    def _publish_varied(self, messages: dict[int, dict[str, Any]]) -> None:
        """All in one process, and then all is put back. One that the application does not publish
        is left out.
        """
        varied = [job for job in self.payloads if job >= VARIED]
        if not varied or self.facts.ticks:
            return
        given = [[job, self._make_publish_arguments(self.payloads[job])] for job in varied]
        made = self._run_process(_Run(Schedule("publish")), "publish_each", [given])
        job = VARIED
        for event in made.events:
            if event.kind == "publishing":
                job = int(event["job"])
            elif event.kind == "published" and event["to_handler"]:
                messages.setdefault(job, dict(event["message"]))
        self.setting.restore()

    def _add_later_ticks(self, messages: dict[int, dict[str, Any]]) -> None:
        """The tick of another day is another job, where the job has a key."""
        spec = self.setting.spec
        if spec.trigger is None or spec.idempotency is None or not spec.idempotency.key:
            return
        later_ticks = ticks.later_ticks(spec.trigger.schedule, spec.trigger.timezone)
        for number, later in enumerate(later_ticks, ticks.NEXT):
            messages[number] = {**messages[0], "later": later}
            self.payloads[number] = self.payloads[0]

    def _takes_poison(self, job: int) -> bool:
        """Whether the application would ever make such a job."""
        made = self._bring_work(_Run(Schedule("publish")), job)
        self.setting.restore()
        return made is None or made.first("caller-raised") is None

    def _make_publish_arguments(self, payload: Any) -> list[Any]:
        """What the driver's publish is given: the application's own message says how."""
        return [payload, self.origin.messages.get(0)]

    def _publish_first_message(self, payload: Any) -> dict[str, Any]:
        """By the application's own call, where the spec names it. Raises NotPublished."""
        enqueue = self.setting.spec.enqueue
        run = _Run(Schedule("publish"))
        if enqueue is None:
            return self._read_message(self._run_process(run, "publish", [payload]), 0)
        self.caller = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)])
        if enqueue.relay is None or self.caller.retries:
            return self._read_message(self.caller, 0)
        # An outbox: nothing else publishes.
        return self._read_message(self._run_process(run, "call", [enqueue.relay, {}]), 0)

    def _read_message(self, delivery: Delivery, job: int) -> dict[str, Any]:
        """The message that a process published. Raises NotPublished."""
        if delivery.retries:
            return dict(delivery.retries[0]["message"])
        problem = delivery.first("caller-raised") or delivery.first("probe-error")
        if problem is None:
            raise NotPublished(job, "nothing was published to the handler")
        unfit = delivery if problem["serialising"] else None
        why = f"nothing was published to the handler: {problem['error']}: {problem['text']}"
        raise NotPublished(job, why, unfit)

    # -- one schedule

    def state_before(self) -> dict[str, Any]:
        """What the state queries answer before anything is delivered; an error is a text, as in
        `History.state`.
        """
        self.setting.restore()
        return read_state(self.store, self.setting.proof.state)

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
        self.setting.restore(first=_is_of_publisher(schedule))
        self.processes.begin_schedule()
        run = _Run(schedule, now=self._find_beginning(schedule))
        self._clone_rows(run)
        self._begin_watch(run)
        self._start_schedule(run)
        self._drain_queue(run)
        for move in schedule.moves:
            self._make_move(run, move)
            self._drain_queue(run)
        return self._conclude_schedule(run)

    def _begin_watch(self, run: _Run) -> None:
        """Few schedules are looked into, once at each end: see `WATCHED`."""
        if run.schedule.family not in WATCHED:
            return
        with self._unless_unknown(run):
            run.watch = StoreWatch(self.setting.watched(self.store))

    @contextlib.contextmanager
    def _unless_unknown(self, run: _Run) -> Iterator[None]:
        """A store that cannot be compared is said."""
        try:
            yield
        except (StateError, ServiceFailed) as error:
            run.watch = None
            run.notes.append(f"what changed in the stores could not be compared: {error}")

    def _clone_rows(self, run: _Run) -> None:
        """What varied payloads work on."""
        jobs = _find_varied_jobs(run.schedule)
        payloads = {job: self.payloads[job] for job in jobs if job in self.origin.messages}
        if payloads:
            run.cloned = clone_rows(self.store, self.setting.spec, payloads)

    def _find_beginning(self, schedule: Schedule) -> float:
        """Where virtual time stands at a schedule's beginning."""
        if schedule.midnight:
            return ticks.before_midnight(self.setting.proof.env.get("TZ"))
        return self.base + _STEP_S + schedule.late

    def _bring_work(self, run: _Run, job: int) -> Delivery | None:
        """A callable that takes no payload finds its job by itself: the application's call leaves
        it there.
        """
        enqueue = self.setting.spec.enqueue
        if not self.facts.ticks or enqueue is None:
            return None
        arguments = self._choose_call_arguments(job)
        with run.watch.aside() if run.watch else contextlib.nullcontext():
            made = self._run_process(run, "call", [enqueue.call, arguments], job=CALLER)
        run.deliveries.append(made)
        return made

    def _choose_call_arguments(self, job: int) -> dict[str, Any]:
        """The arguments of the application's call for a job: what its payload says, and of poison
        nothing else.
        """
        enqueue = self.setting.spec.enqueue
        if enqueue is None:
            return {}
        given = dict(enqueue.args)
        if job == 0:
            return given
        payload = self.payloads.get(job)
        mine = payload if isinstance(payload, dict) else {}
        chosen: dict[str, Any] = {}
        for name, value in given.items():
            if job > 0 or name in mine:
                chosen[name] = mine.get(name, value)
        return chosen

    def _start_schedule(self, run: _Run) -> None:
        """Puts the first message into the queue, or runs what stands in its place."""
        schedule = run.schedule
        if _is_of_publisher(schedule):
            self._call_publisher(run)
            return
        job = 0
        if schedule.poison is not None:
            job = POISON - schedule.poison
        is_alone = schedule.family == "alone"
        if not is_alone:
            self._bring_work(run, job)
        message = self.origin.messages[job]
        if any(fault.do == "stall" for fault in schedule.faults):
            self._deliver_stalled(run, message)
            return
        if schedule.copies > 1 or schedule.beside is not None:
            self._deliver_at_once(run, message)
            return
        begins_with_tick = bool(schedule.moves) and schedule.moves[0].startswith("tick=")
        if is_alone or begins_with_tick:
            return  # the moves bring the messages
        run.queue.append(Waiting(message, run.now, job))

    def _make_move(self, run: _Run, move: str) -> None:
        name, _, value = move.partition("=")
        if name == "wait":
            self._pass_time(run, float(value))
        elif name == "redeliver":
            message = {**self.origin.messages[0], "redelivered": True}
            run.queue.append(Waiting(message, run.now, 0))
        elif name == "re-enqueue":
            self._enqueue_again(run, 0)
        elif name == "job":
            self._bring_work(run, int(value))
            message = self.origin.messages[int(value)]
            run.now = max(run.now, self.base + float(message.get("later", 0.0)))
            run.queue.append(Waiting(message, run.now, int(value)))
        elif name == "varied":
            self._deliver_varied(run)
        elif name == "tick":
            run.now = max(run.now, float(value) - time.time())
            run.queue.append(Waiting(self.origin.messages[0], run.now, 0))

    def _deliver_varied(self, run: _Run) -> None:
        """Each once, whatever comes of it: what it asks for afterwards is not done."""
        for job in _find_varied_jobs(run.schedule):
            message = self.origin.messages.get(job)
            if message is None or run.hung is not None:
                continue
            delivery = self._run_process(run, "deliver", [message], job=job)
            run.deliveries.append(delivery)
            if delivery.raised is not None:
                self.processes.end_schedule()  # what it left in its process is not handed on

    def _pass_time(self, run: _Run, seconds: float) -> None:
        """On the proof's clock and on the servers': what expires in Redis does so."""
        run.now += seconds
        self.setting.jump(seconds)

    def _enqueue_again(self, run: _Run, job: int) -> None:
        self._bring_work(run, job)
        delivery = self._run_process(
            run, "publish", self._make_publish_arguments(self.payloads[job]), job=job
        )
        run.deliveries.append(delivery)
        run.queue.append(Waiting(self._read_message(delivery, job), run.now, job))

    def _drain_queue(self, run: _Run) -> None:
        while run.queue and self._goes_on(run):
            waiting = min(run.queue, key=lambda item: item.due)
            run.queue.remove(waiting)
            if waiting.due > run.now:
                self._pass_time(run, waiting.due - run.now)
            self._deliver_message(run, waiting)

    def _goes_on(self, run: _Run) -> bool:
        """Until the limit of deliveries: nothing bounds what comes to it. Idle ticks are none."""
        if run.hung is not None:
            return False
        return max(run.count - run.idle, run.callbacks // _CALLBACKS_A_DELIVERY) < self.limit

    def _count_delivery(self, run: _Run, waiting: Waiting) -> None:
        if waiting.op == "callback":
            run.callbacks += 1
        else:
            run.count += 1

    def _deliver_message(self, run: _Run, waiting: Waiting) -> Delivery:
        self._count_delivery(run, waiting)
        zygote = "fresh" if run.schedule.fresh and run.count > 1 else "main"
        plan = {}
        if not waiting.again:
            plan = self.orders.of_delivery(run.schedule, run.count)
        delivery = self._run_process(
            run, waiting.op, [waiting.message], job=waiting.job, plan=plan, zygote=zygote
        )
        self._settle_delivery(run, waiting, delivery)
        return delivery

    def _settle_delivery(self, run: _Run, waiting: Waiting, delivery: Delivery) -> None:
        """Does to the queue what the delivery, or the library after its death, said."""
        run.deliveries.append(delivery)
        endless = delivery.first("endless")
        if endless is not None:
            run.hung = str(endless["at"])
            return
        self._take_published(run, delivery, waiting.job)
        if self.polled:
            self._look_again(run, waiting, delivery)
            return
        settled = delivery.settled
        if settled is None and delivery.died:
            if run.schedule.lose:
                run.queue = [item for item in run.queue if item.job != waiting.job]
                return
            settled = self._ask_after_death(run, waiting)
        if settled is None:
            run.notes.append("the driver did not say what became of a message")
            return
        self._look_for_letters(run, delivery)
        if settled["how"] == "requeued":
            message = settled["message"] or waiting.message
            again = waiting.op == "callback"
            due = run.now + float(settled["delay"])
            run.queue.append(Waiting(dict(message), due, waiting.job, waiting.op, again))
        elif waiting.op == "deliver":
            run.dead += settled["how"] == "dead"
            run.lost += settled["how"] == "lost"

    def _ask_after_death(self, run: _Run, waiting: Waiting) -> Event | None:
        """What the library does with the message of a process that died."""
        who = victim(run.schedule, run.count)
        after = self._run_process(run, "died", [waiting.message, who], job=waiting.job)
        run.deliveries.append(after)
        self._take_published(run, after, waiting.job)
        return after.settled

    def _look_again(self, run: _Run, waiting: Waiting, delivery: Delivery) -> None:
        """A poller comes again whatever happened; after a fault it is followed until nothing more
        can come of that.
        """
        is_first_of_poison = run.schedule.poison is not None and run.count == 1
        if ticks.is_faulty(delivery) or is_first_of_poison:
            run.tries += 1
            run.since, run.follow = run.now, ticks.waits(self.setting.spec, run.tries)
            if self.daily:
                # At least the next tick; no later one of another day.
                ends = self.base + _REST_OF_DAY_S
                run.follow[1:] = [wait for wait in run.follow[1:] if run.now + wait < ends]
        elif ticks.is_idle(delivery):
            run.idle += 1
        elif run.follow and not self.orders.items:
            # It did something: one tick more, to see that nothing is left. Of several pieces of
            # work it was perhaps another one.
            run.since, run.follow = run.now, [ticks.every(self.setting.spec)]
        if run.follow and not run.queue:
            run.queue.append(Waiting(waiting.message, run.since + run.follow.pop(0), waiting.job))

    def _look_for_letters(self, run: _Run, delivery: Delivery) -> None:
        """A job that comes again is in no dead letter yet."""
        query = self.setting.proof.dead_letters
        if query is None or run.early or not delivery.will_retry:
            return
        # After a death one may rightly be there: it died while it gave the job up.
        if run.schedule.has_crash or run.schedule.family not in ("error", "exhaustion"):
            return
        with contextlib.suppress(StateError):
            if count(self.store, self.setting.filled(query)):
                run.early = delivery.number

    def _take_published(self, run: _Run, delivery: Delivery, job: int) -> None:
        """Into the queue: the job again, and what is for its callbacks."""
        for event in delivery.all("published"):
            if event["to_handler"] or event["callback"]:
                op = "callback" if event["callback"] else "deliver"
                due = run.now + float(event["delay"])
                run.queue.append(Waiting(dict(event["message"]), due, job, op))

    # -- the publisher

    def _call_publisher(self, run: _Run) -> None:
        """The application publishes under a fault; then its caller tries again, or the relay
        publishes what is left.
        """
        enqueue = self.setting.spec.enqueue
        if enqueue is None:
            return
        args = [enqueue.call, dict(enqueue.args)]
        plan = self.orders.of_publisher(run.schedule)
        if any(fault.do == "caller-pause" for fault in run.schedule.faults):
            self._deliver_before_commit(run, args, plan)
            return
        if self.polled:
            due = run.now + ticks.every(self.setting.spec)
            run.queue.append(Waiting(self.origin.messages[0], due, 0))
        first = self._run_process(run, "call", args, job=CALLER, plan=plan)
        run.deliveries.append(first)
        self._take_published(run, self._leave_other_jobs(first), 0)
        failed = first.died or first.first("caller-raised") is not None
        if failed and (enqueue.relay is None or not _has_committed(first)):
            self._call_later(run, args)
        if enqueue.relay is not None:
            self._call_later(run, [enqueue.relay, {}])

    def _leave_other_jobs(self, caller: Delivery) -> Delivery:
        """Without what it publishes for other jobs: a sweep publishes all that is left, and a call
        may concern several.
        """
        kept: list[Event] = []
        for event in caller.events:
            is_publish = event.kind == "published" and event["to_handler"]
            if not is_publish or not self._is_of_other_job(event["message"]):
                kept.append(event)
        return replace(caller, events=tuple(kept))

    def _is_of_other_job(self, message: Mapping[str, Any] | None) -> bool:
        """By the key fields in its arguments; where they cannot be read, it is the proof's own."""
        arguments = (message or {}).get("arguments")
        if arguments is None:
            return False
        payload = read_payload(arguments, self.payloads[0])
        return payload is not None and not is_same_job(self.setting.spec, payload, self.payloads[0])

    def _call_later(self, run: _Run, args: list[Any]) -> None:
        """Whoever calls then: a worker is as fast as they are."""
        if not self.polled:
            self._drain_queue(run)
        later = self._run_process(run, "call", args, job=CALLER)
        run.deliveries.append(later)
        self._take_published(run, self._leave_other_jobs(later), 0)

    def _deliver_before_commit(self, run: _Run, args: list[Any], plan: dict[str, Any]) -> None:
        """A worker is faster than the publisher: the message is delivered while the publisher
        stands still.
        """
        caller = self._fork_process(run, "call", args, plan=plan)
        before = 0
        if self.processes.follow([caller], caller) == "paused":
            events = caller.running.events
            published = [e for e in events if e["e"] == "published" and e["to_handler"]]
            run.queue += [Waiting(dict(event["message"]), run.now, 0) for event in published]
            before = len(published)
            self._drain_beside(run, caller)
        if not caller.running.ended:
            self._finish_process(run, [caller], caller)
        delivery = self._read_delivery(run, caller)
        run.deliveries.append(delivery)
        # A message that is a row is there with the commit, and not before.
        later = delivery.retries[before:]
        run.queue += [Waiting(dict(event["message"]), run.now, 0) for event in later]

    def _drain_beside(self, run: _Run, other: Process) -> None:
        """Delivers what waits while another process stands still; where it holds what they need, it
        goes on first.
        """
        while run.queue and self._goes_on(run):
            waiting = min(run.queue, key=lambda item: item.due)
            run.queue.remove(waiting)
            self._count_delivery(run, waiting)
            process = self._fork_process(run, waiting.op, [waiting.message], job=waiting.job)
            self._finish_process(run, [process, other], process)
            self._settle_delivery(run, waiting, self._read_delivery(run, process))

    # -- several at once

    def _deliver_stalled(self, run: _Run, message: dict[str, Any]) -> None:
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
        for move in run.schedule.moves:
            self._make_move(run, move)
        self._drain_beside(run, first)
        if not first.running.ended:
            if first.running.paused:
                late = next(iter(self.orders.of_late_errors(run.schedule)), None)
                first.running.resume(clock=run.now - began, then=late)
            self._finish_process(run, [first], first)
        self._settle_delivery(run, Waiting(message, run.now, 0), self._read_delivery(run, first))

    def _deliver_at_once(self, run: _Run, message: dict[str, Any]) -> None:
        """Several messages, each in a process of its own: a switch lets the next one run."""
        switches = [fault for fault in run.schedule.faults if fault.do == "switch"]
        processes: list[Process] = []
        waiting = self._choose_messages_at_once(run, message)
        for number, item in enumerate(waiting):
            plan = {f.at: {"do": "pause"} for f in switches[number : number + 1]}
            run.count += 1
            process = self._fork_process(
                run, "deliver", [item.message], job=item.job, plan=plan, copy=number
            )
            processes.append(process)
            self.processes.follow(processes, process)
        for process in processes:
            if not process.running.ended:
                if process.running.paused:
                    process.running.resume()
                self._finish_process(run, processes, process)
        # The queue learns of them in the order of their ends.
        pairs = zip(processes, waiting, strict=True)
        for process, item in sorted(pairs, key=lambda pair: _heard_last(pair[0])):
            self._settle_delivery(run, item, self._read_delivery(run, process))

    def _choose_messages_at_once(self, run: _Run, message: dict[str, Any]) -> list[Waiting]:
        """The same message again and again, or a distinct job's beside it."""
        if run.schedule.beside is not None:
            other = self.origin.messages[run.schedule.beside]
            return [Waiting(message, run.now, 0), Waiting(other, run.now, run.schedule.beside)]
        found = [Waiting(message, run.now, 0)]
        for _ in range(run.schedule.copies - 1):
            found.append(Waiting({**message, "redelivered": True}, run.now, 0))
        return found

    # -- processes

    def _run_process(
        self,
        run: _Run,
        op: str,
        args: list[Any],
        *,
        job: int = 0,
        plan: Mapping[str, Any] | None = None,
        zygote: str = "main",
    ) -> Delivery:
        """Runs one process to its end."""
        process = self._fork_process(run, op, args, job=job, plan=plan, zygote=zygote)
        self._finish_process(run, [process], process)
        return self._read_delivery(run, process)

    def _fork_process(
        self,
        run: _Run,
        op: str,
        args: list[Any],
        *,
        job: int = 0,
        plan: Mapping[str, Any] | None = None,
        zygote: str = "main",
        copy: int = 0,
    ) -> Process:
        modules = run.schedule.family == "once"
        lives_on = run.schedule.family == "varied" and self.facts.same_process
        return self.processes.start(
            op,
            args,
            clock=run.now,
            job=job,
            plan=plan,
            zygote=zygote,
            copy=copy,
            modules=modules,
            stays=run.schedule.same or lives_on,
        )

    def _finish_process(self, run: _Run, all_: list[Process], process: Process) -> None:
        run.hung = self.processes.finish(all_, process) or run.hung

    def _read_delivery(self, run: _Run, process: Process) -> Delivery:
        delivery, clock = self.processes.read(process)
        run.now = max(run.now, clock) + _STEP_S
        return delivery

    # -- the end

    def _conclude_schedule(self, run: _Run) -> History:
        self.processes.end_schedule()
        if run.watch is not None:
            with self._unless_unknown(run):
                run.watch.look()
        proof, notes = self.setting.proof, run.notes
        state = read_state(self.store, proof.state)
        dead = self._count_dead_letters(run)
        if proof.dead_letters is not None:
            try:
                dead = count(self.store, self.setting.filled(proof.dead_letters))
            except StateError as error:
                notes.append(f"proof.dead_letters: {error}")
        return History(
            run.schedule,
            tuple(run.deliveries),
            state,
            dead,
            pending=len(run.queue),
            lost=run.lost,
            kept=run.dead,
            early=run.early,
            hung=run.hung,
            notes=tuple(notes),
            payloads=self._collect_payloads(run),
            cloned=run.cloned,
            files=self._read_written_files(run),
            tables=read_state(self.store, self.unread),
            changes=frozenset(run.watch.changes if run.watch else ()),
        )

    def _read_written_files(self, run: _Run) -> dict[str, str | None]:
        """What stands at the end in each file of the scratch that a delivery is said to have
        written.
        """
        found: dict[str, str | None] = {}
        for delivery in run.deliveries:
            for event in delivery.all("undeclared"):
                name = name_scratch_file(event)
                if name is not None:
                    found[name] = self.setting.place.digest(name)
        return found

    def _collect_payloads(self, run: _Run) -> dict[int, Any]:
        """Of the other jobs that were delivered. What comes without the application's call, and a
        later tick, has the payload of the first.
        """
        found: dict[int, Any] = {}
        for delivery in run.deliveries:
            job = delivery.job
            has_first_payload = ticks.NEXT <= job < VARIED
            if job and job in self.payloads and not has_first_payload:
                found[job] = self.payloads[job]
        return found

    def _count_dead_letters(self, run: _Run) -> int | None:
        """In the library's own place, or published to the queue that the spec names; None: see
        proof.dead_letters.
        """
        letter = self.setting.spec.dead_letter
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


def _is_of_publisher(schedule: Schedule) -> bool:
    """Its faults are met by the application that publishes, and not by a delivery."""
    return any(fault.do.startswith("caller-") for fault in schedule.faults)


def _find_varied_jobs(schedule: Schedule) -> list[int]:
    """The numbers of the jobs whose varied payloads it delivers."""
    return [VARIED + number - 1 for number in schedule.varied]


def _heard_last(process: Process) -> int:
    """When the last event of a process was heard."""
    return int(process.running.events[-1].get("heard", 0))


def _has_committed(delivery: Delivery) -> bool:
    """Whether something of it outlasts it, so that calling again would be another job."""
    return any(lasts(event) for event in delivery.all("at"))


class NotPublished(Exception):
    """A message could not be made: which job's, why, and the publish whose value no serialiser
    takes.
    """

    def __init__(self, job: int, why: str, unfit: Delivery | None = None) -> None:
        super().__init__(why)
        self.job, self.why, self.unfit = job, why, unfit
