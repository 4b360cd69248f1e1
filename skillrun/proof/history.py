"""What happened under one schedule: the only thing that judges look at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.proof.rivals import Rivalry
    from skillrun.proof.schedule import Schedule
    from skillrun.proof.store_watch import Change
    from skillrun.proof.undone import Undone

_IN_SCRATCH = "{scratch}/"  # how a file of the scratch is called
TEMPORARY_TABLE = re.compile(
    r"\s*create\s+(?:local\s+|global\s+)?temp(?:orary)?\s+table\b", re.IGNORECASE
)


PRINTED = "PRINT"  # the level of a line that was printed, see probe/logs.py
_LOUD = ("WARNING", "ERROR", "CRITICAL")
# How a line that is printed tells its level: loguru, structlog's consoles, JSON, key=value.
_LOUD_WORD = re.compile(r"(?<![A-Za-z_])(?:WARN(?:ING)?|ERROR|CRITICAL|FATAL)(?![A-Za-z_])")
_LOUD_FIELD = re.compile(
    r"\[(?:warn(?:ing)?|error|critical|exception)\s*\]"
    r"|\b(?:level|levelname|log_level|severity)['\"]?\s*[=:]\s*['\"]?(?:warn|error|critical|fatal)",
    re.IGNORECASE,
)


def is_loud(event: Event) -> bool:
    """Whether an event is a log record of level WARNING or above. A line that is printed has no
    level of its own: its text tells it.
    """
    if event.kind != "log":
        return False
    if event["level"] in _LOUD:
        return True
    if event["level"] != PRINTED:
        return False
    text = str(event["text"])
    return bool(_LOUD_WORD.search(text) or _LOUD_FIELD.search(text))


@dataclass(frozen=True)
class Event:
    """One thing that a process reported, in the order in which it was heard.

    `kind`: began, entered, at (a boundary), performed (an effect took place), published, log,
    slept, undeclared, fault,
    returned, raised, settled, end, died, probe-error, caller-raised, endless (it was ended: it
    tries again for ever).
    """

    number: int  # within the history, from 1
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.data.get(name)

    @property
    def place(self) -> tuple[str, int] | None:
        """(path, line) in the repository; None where the event has none."""
        place = self.data.get("place")
        if not place:
            return None
        return place[0], place[1]

    @property
    def boundary(self) -> str | None:
        """The boundary that an event of the kind `at` stands for, "before:email#1"; None for every
        other event.
        """
        if self.kind != "at":
            return None
        return f"{self.data['when']}:{self.data['name']}"


def is_dead_letter(event: Event, queue: str | None) -> bool:
    """Whether a publish goes to the queue (or task, or actor) where dead letters go. `queue`: its
    name; None where the job has no such queue.
    """
    if queue is None or event["to_handler"]:
        return False
    message = event["message"] or {}
    return queue in (
        event["label"],
        message.get("routing_key"),
        message.get("queue"),
        message.get("queue_name"),
    )


def name_scratch_file(event: Event) -> str | None:
    """The path within the scratch of a file that was written; None for every other event, and for a
    file of which more is to be said ("..., a log that is read").
    """
    detail = str(event["detail"])
    if event.kind != "undeclared" or event["kind"] != "file" or ", " in detail:
        return None
    if not detail.startswith(_IN_SCRATCH):
        return None
    return detail.removeprefix(_IN_SCRATCH)


def ends_with_connection(store: str) -> bool:
    """Whether a database is gone once its connection is closed: one in memory, or SQLite's
    temporary file, whose name is empty.
    """
    return store in (":memory:", "")


def is_within_transaction(delivery: Delivery, number: int) -> bool:
    """Whether a transaction with a write in it was open in a delivery at one of its events."""
    waiting: set[str] = set()
    for event in delivery.all("at"):
        if event.number > number:
            break
        store = str(event["store"])
        if event["kind"] in ("commit", "rollback"):
            waiting.discard(store)
        elif event["kind"] == "sql" and event["when"] == "after" and event["open"]:
            waiting.add(store)
    return bool(waiting)


def outlasts_process(event: Event) -> bool:
    """Whether something outlasts the process from this boundary on: it stands after a commit, or
    after a write outside of a transaction or to Redis.
    """
    if event["when"] != "after":
        return False
    if ends_with_connection(str(event["store"])):
        return False
    if event["kind"] == "sql":
        is_write = event["verb"] in ("insert", "update", "delete", "replace", "merge")
        return is_write and event["open"] is False
    return event["kind"] == "commit" or (event["kind"] == "redis" and bool(event["write"]))


_DELETES = re.compile(r"\b(?:delete|truncate|merge|replace)\b", re.IGNORECASE)


def may_delete(deliveries: Iterable[Delivery]) -> bool:
    """Whether a statement of theirs may have deleted rows, as its text says."""
    for delivery in deliveries:
        for event in delivery.all("at"):
            if event["kind"] == "sql" and _DELETES.search(str(event["sql"] or event["verb"])):
                return True
    return False


# `op` of the deliveries that the application calls by itself: what it does in them is not the
# handler's.
CALLERS = ("call", "recover")


@dataclass(frozen=True)
class Delivery:
    """What one process did: a delivery to the handler, the caller that publishes, a sweep that
    brings jobs back, or the library after a death. A broker that loses its messages stands among
    them, as the number 0.

    `op`: deliver, callback, call, publish, recover, died, broker. `job`: 0 for the proof's own
    message, 1.. for distinct jobs, -1 poison.
    """

    number: int  # from 1, in the order of the beginnings
    op: str
    job: int
    clock: float  # virtual seconds since the proof's beginning, at its start
    events: tuple[Event, ...]
    copy: int = 0  # which of the deliveries at once
    parent: int = 0  # the delivery that published its message; 0: the application, or not known
    # Numbers of its publishes to the handler that are another job's, see `same_job`.
    other_jobs: frozenset[int] = frozenset()

    def all(self, kind: str) -> Iterator[Event]:
        """Yields its events of one kind, in order."""
        for event in self.events:
            if event.kind == kind:
                yield event

    @cached_property
    def hit_by(self) -> frozenset[str]:
        """What the faults that it met did to it, e.g. "kill"."""
        return frozenset(str(event["do"]) for event in self.all("fault"))

    def performs(self, effect: str | None) -> bool:
        """Whether an effect took place in it; with None, whether any effect did."""
        return any(effect in (None, event["effect"]) for event in self.all("performed"))

    def first(self, kind: str) -> Event | None:
        """The first event of a kind; None where it has none."""
        return next(self.all(kind), None)

    @cached_property
    def entered(self) -> bool:
        """Whether the handler was called in it."""
        return self.first("entered") is not None

    @cached_property
    def raised(self) -> Event | None:
        """The first exception that the handler raised and that is no control flow of
        the library.
        """
        for event in self.all("raised"):
            if not event["control"]:
                return event
        return None

    @cached_property
    def died(self) -> bool:
        """Whether the process died before it came to its own end."""
        return self.first("died") is not None

    @cached_property
    def settled(self) -> Event | None:
        """The event that tells what became of the message; None where nobody settled it."""
        return self.first("settled")

    @cached_property
    def sent_to_handler(self) -> tuple[Event, ...]:
        """The publishes to the job's own task."""
        return tuple(event for event in self.all("published") if event["to_handler"])

    @cached_property
    def retries(self) -> tuple[Event, ...]:
        """The publishes by which the job comes again. One with another key is another job."""
        sent = self.sent_to_handler
        return tuple(event for event in sent if event.number not in self.other_jobs)

    @cached_property
    def divides(self) -> bool:
        """Whether it publishes messages to the handler that say different things: each of them is
        for a part of the job, and is tried by itself.
        """
        said: set[str] = set()
        for event in self.sent_to_handler:
            arguments = (event["message"] or {}).get("arguments")
            if arguments is not None:
                said.add(str(arguments))
        return len(said) > 1

    @cached_property
    def will_retry(self) -> bool:
        """Whether the library delivers the job again by itself after it."""
        settled = self.settled
        return bool(self.retries) or (settled is not None and settled["how"] == "requeued")

    @cached_property
    def outcome(self) -> str:
        """How it ended: "died", "retried", "failed" for good, or "succeeded"."""
        if self.died:
            return "died"
        if self.will_retry:
            return "retried"
        if self._has_failed():
            return "failed"
        return "succeeded"

    def _has_failed(self) -> bool:
        """Whether the handler raised an error, or the library counts the job as failed."""
        if self.raised is not None:
            return True
        # What is left are control-flow exceptions of the library.
        raised_any = self.first("raised") is not None
        settled = self.settled
        if settled is None:
            return raised_any
        if settled["how"] in ("dead", "lost") or settled["why"] == "raised":
            return True
        # "ignored" is the library's own word for "nothing to do".
        return raised_any and settled["why"] != "ignored"


@dataclass(frozen=True)
class Swept:
    """What one call of a sweep, or of a relay, published: messages to the handler, told apart by
    their arguments.
    """

    call: str  # "shop.sweeps:requeue"
    messages: int
    effects: int = 0  # that it performed itself, for other jobs


@dataclass(frozen=True)
class History:
    """All deliveries of one schedule, and what they left when nothing was waiting any more."""

    schedule: Schedule
    deliveries: tuple[Delivery, ...]
    state: Mapping[str, Any] = field(default_factory=dict)  # query name -> rows, or "error: ..."
    dead_letters: int | None = None  # None: not counted
    # Jobs that the library itself keeps as failed, whatever the declared dead letter is.
    kept: int = 0
    pending: int = 0  # messages that were still waiting when the limit of deliveries was reached
    lost: int = 0  # messages that the library let go of without a trace
    early: int = 0  # the delivery after which a job that came again was in the dead letters already
    hung: str | None = None  # the boundary after which a process had to be ended
    notes: tuple[str, ...] = ()
    # Number of another job that is delivered as well -> its payload.
    payloads: Mapping[int, Any] = field(default_factory=dict)
    # Number of a varied payload -> the values that its rows have from the first example's; a
    # payload without rows of its own is not in it.
    cloned: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    # Each file of the scratch that was written -> the digest of its content at the end; None where
    # it is gone.
    files: Mapping[str, str | None] = field(default_factory=dict)
    # The rows of the tables that are written and that no state query reads, as `state`.
    tables: Mapping[str, Any] = field(default_factory=dict)
    # What its deliveries changed in the stores, as the stores tell it. Only a few families ask.
    changes: frozenset[Change] = frozenset()
    rivalries: tuple[Rivalry, ...] = ()
    undone: tuple[Undone, ...] = ()  # what the application's call found undone
    echoed: tuple[str, ...] = ()  # "table.column" that repeats a secret of a provider's error
    # "table.column" where a job that was given up left a secret of its rows that it had not before.
    recorded: tuple[str, ...] = ()
    # In order, with the messages of other jobs, which are not delivered.
    swept: tuple[Swept, ...] = ()

    @cached_property
    def runs(self) -> tuple[Delivery, ...]:
        """The deliveries to the handler."""
        return tuple(delivery for delivery in self.deliveries if delivery.op == "deliver")

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The events of all deliveries, in the order in which they were heard."""
        found: list[Event] = []
        for delivery in self.deliveries:
            found += delivery.events
        return tuple(sorted(found, key=lambda event: event.number))

    def all(self, kind: str) -> list[Event]:
        """The events of one kind in all deliveries, in order."""
        return [event for event in self.events if event.kind == kind]

    def list_of_runs(self, kind: str) -> list[Event]:
        """The events of one kind in the deliveries to the handler, delivery by delivery."""
        found: list[Event] = []
        for run in self.runs:
            found += run.all(kind)
        return found

    def list_met(self) -> list[str]:
        """The boundaries at which its faults came about, in order."""
        return [str(event["at"]) for event in self.all("fault")]

    def runs_after(self, delivery: Delivery) -> list[Delivery]:
        """The deliveries to the handler that began later."""
        return [run for run in self.runs if run.number > delivery.number]

    def runs_of(self, job: int) -> list[Delivery]:
        """The deliveries of one job to the handler."""
        return [run for run in self.runs if run.job == job]

    def performed(self, effect: str | None = None) -> tuple[Event, ...]:
        """The calls of an effect, or of all effects, that took place; without those that the
        application itself made when it published the job.
        """
        found: list[Event] = []
        for delivery in self.deliveries:
            if delivery.op == "call":
                continue
            for event in delivery.all("performed"):
                if effect in (None, event["effect"]):
                    found.append(event)
        return tuple(found)

    def callbacks(self, run: Delivery) -> tuple[Delivery, ...]:
        """The processes in which the library called something, after a delivery to the handler and
        before the next one.
        """
        found = []
        for delivery in self.deliveries[self.deliveries.index(run) + 1 :]:
            if delivery.op == "deliver":
                break
            if delivery.op == "callback":
                found.append(delivery)
        return tuple(found)

    def waits_for_another(self, run: Delivery) -> bool:
        """Whether a delivery comes again only because another one is at the same job, or has died
        at it: it waits for a lock or a lease, and the job did not fail.
        """
        if not (self.schedule.crowded or self._is_after_death(run)):
            return False
        met_no_error = run.hit_by.isdisjoint(("raise", "fail"))
        return run.outcome == "retried" and met_no_error

    def _is_after_death(self, run: Delivery) -> bool:
        """Whether an earlier delivery of the same job died."""
        earlier = [other for other in self.runs_of(run.job) if other.number < run.number]
        return any(other.died for other in earlier)

    def delivery_of(self, event: Event) -> Delivery:
        """The delivery that reported an event. Raises LookupError for one of another history."""
        for delivery in self.deliveries:
            if event in delivery.events:
                return delivery
        raise LookupError(f"no delivery reported event {event.number}")


def find_keys(calls: Iterable[Event]) -> set[Any]:
    """The keys that effects were called with; None for a call without one."""
    return {call["key"] for call in calls}


def writes_to_cache(event: Event) -> bool:
    """Whether a statement writes to a cache that is a table of the database, as
    Django lays it out.
    """
    is_write = event["kind"] == "sql" and event["verb"] in ("insert", "update")
    return is_write and "cache_key" in str(event["sql"])


def list_written_keys(event: Event) -> list[str]:
    """The keys that a command, or a pipeline of commands, to Redis may write; none of any other
    boundary.
    """
    if event["kind"] != "redis" or not event["write"]:
        return []
    keys = [str(event["key"] or "")]
    for command in event["commands"] or ():
        keys.append(str(command).partition(" ")[2])
    return list(filter(None, keys))
