"""What judges compare with: the single runs of the job, and what the spec promises."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from skillrun.probe.facts import BootFacts
from skillrun.proof.broker import EMPTY
from skillrun.proof.history import Event, History
from skillrun.proof.schedule import SWEEP

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobError, JobSpec
    from skillrun.proof.judgement import Judgement
    from skillrun.proof.schedule import Fault, Schedule


@dataclass(frozen=True)
class InTurn:
    """The proof's own job and a distinct one, each delivered once, one after the other."""

    own_first: History
    other_first: History

    @property
    def done(self) -> tuple[History, ...]:
        """What happened in each of the two orders in which both jobs succeeded."""
        return tuple(filter(_all_succeed, (self.own_first, self.other_first)))


@dataclass(frozen=True)
class SecondWorld:
    """What schedules are compared with that begin with what a second call of the application has
    left. `arguments`: what that call was given; the others as in `Reference`.
    """

    arguments: Mapping[str, Any]
    once: History
    later: History
    before: Mapping[str, Any]
    volatile: frozenset[str]


@dataclass(frozen=True)
class Reference:
    """`once` is the single run of the proof's own message, `jobs` those of the distinct jobs."""

    spec: JobSpec
    once: History
    jobs: Mapping[int, History] = field(default_factory=dict)
    facts: BootFacts = field(default_factory=BootFacts)
    # State queries that answer differently after two single runs.
    volatile: frozenset[str] = frozenset()
    # Distinct job -> why its single run is no comparison.
    unfit: Mapping[int, str] = field(default_factory=dict)
    left_out: str = (
        ""  # a job of the call made again that is not done beside the first one, and why
    )
    # State queries that read what the dead letters are counted in.
    letters: frozenset[str] = frozenset()
    # Move -> the single run of a tick at that time.
    ticks: Mapping[str, History] = field(default_factory=dict)
    # What the state queries answer before anything is delivered.
    before: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None  # of the proof's own message; None: the first example
    queue: str = ""  # to which the application publishes it; "" where that is not known
    payloads: Mapping[int, Any] = field(default_factory=dict)  # by job, see `jobs.payloads_of`
    later: History | None = None  # the single run a minute later, in another process
    # What the schedule that is judged comes to with a process of its own for each delivery.
    apart: History | None = None
    # What the schedule comes to where the attempt that stands still dies: see `judges.outlasted`.
    unanswered: History | None = None
    # The templates of what is written where the job is done and the sweeps come; None where that
    # is not known.
    said_by_sweeps: frozenset[str] | None = None
    # Of a job that a clock publishes, whose last delivery may have found other work: the single run
    # at that time, and the schedule without its faults.
    as_due: tuple[History, ...] = ()
    # Of a draft, where a fault left something undone: what is said where the job is published once
    # more a day later.
    next_day: tuple[Judgement, ...] | None = None
    # Distinct job -> both orders of it and the proof's own. None where ticks bring the work.
    orders: Mapping[int, InTurn] = field(default_factory=dict)
    # Distinct job -> what comes of it where the application publishes it by itself.
    called: Mapping[int, History] = field(default_factory=dict)
    # Where the distinct job is one that a second call of the application made: what the schedules
    # with that job are compared with.
    second: SecondWorld | None = None
    # What a log must not tell: value -> the name under which the payload or a row has it.
    secrets: Mapping[str, str] = field(default_factory=dict)
    # As well: mail addresses and numbers of persons.
    addresses: Mapping[str, str] = field(default_factory=dict)
    # The tables that the application's own call changes, as the fixture stands; and whether another
    # state was found in which it has more to do.
    changed_by_call: frozenset[str] = frozenset()
    knows_undone: bool = False
    # Sweeps of the spec that nothing that the repository starts calls.
    uncalled: tuple[str, ...] = ()
    # The risks that the repository's profile makes contract.
    contract: frozenset[str] = frozenset()
    # Keyed effect that the application repeats soon after a death -> the least age of the first
    # attempt, in seconds, at which it was seen to keep it back.
    kept_back: Mapping[str, float] = field(default_factory=dict)
    # Of a draft: the promises that nobody has made, see `judges.unpromised`.
    unpromised: frozenset[str] = frozenset()
    sweepers: tuple[str, ...] = ()  # as in Target
    guessed_errors: frozenset[str] = frozenset()  # as in Target
    # The database server to which the application speaks outside of the proof; "" where it is not
    # known to, or the proof has one.
    server: str = ""

    @property
    def is_batch(self) -> bool:
        """Whether one tick does several pieces of work, each with a call of its own."""
        return self.facts.ticks and bool(name_items(self.once))

    @property
    def effects(self) -> tuple[Effect, ...]:
        return self.spec.effects or ()

    def calls(self, effect: str) -> tuple[Event, ...]:
        """The calls of an effect in the single run of the proof's own message."""
        return self.once.performed(effect)

    def list_missing(self) -> list[str]:
        """The effects that the single run does not come to."""
        return [effect.name for effect in self.effects if not self.calls(effect.name)]

    def find_reached(self, job: int) -> set[str]:
        """The effects that a distinct job comes to when it runs alone."""
        return {str(call["effect"]) for call in self.jobs[job].performed()}

    def expected(self, history: History, effect: str) -> list[Event]:
        """The calls of the single runs of every job that a schedule delivers."""
        found = [*self.calls(effect)]
        for job in history.schedule.jobs:
            if job in self.jobs:
                found += self.jobs[job].performed(effect)
        return found

    def at_tick(self, history: History) -> Reference:
        """This reference as a history of ticks at set times needs it: the single run is that of the
        first of its ticks.
        """
        moves = history.schedule.moves
        if not moves or moves[0] not in self.ticks:
            return self
        return replace(self, once=self.ticks[moves[0]])

    def in_second_world(self) -> Reference:
        """This reference as a schedule needs it that begins with what the second call has left."""
        second = self.second
        if second is None:
            return self
        return replace(
            self,
            once=second.once,
            later=second.later,
            before=second.before,
            volatile=second.volatile,
        )

    @property
    def max_attempts(self) -> int | None:
        """How often the spec lets a job be tried; None where it says nothing of it."""
        retry = self.spec.retry
        if retry is None:
            return None
        if retry.kind == "none":
            return 1
        return retry.max_attempts

    @property
    def max_deliveries(self) -> int | None:
        """How often the spec lets a message be delivered that kills its worker each time; None
        where it says nothing of it.
        """
        worker = self.spec.worker
        if worker is None:
            return None
        return worker.deliveries

    def allows_loss(self, history: History) -> bool:
        """Whether a history lost the job with a process that died, where the library does so by
        design, or the spec accepts it. What a sweep of the spec is to bring back is not accepted,
        whichever of the two lost it.
        """
        is_swept = bool(self.spec.recovers) and SWEEP in history.schedule.moves
        if history.lost and self.facts.lossy and not is_swept:
            return True
        worker = self.spec.worker
        is_accepted = worker is not None and worker.death == "loses" and not self.spec.recovers
        # A child's death leaves a message that was acknowledged, and a worker's one that is lost.
        is_end = bool(history.runs) and history.runs[-1].died and not history.pending
        return is_accepted and is_end

    @property
    def has_dead_letter(self) -> bool:
        """Whether the spec promises a record after the last attempt."""
        return self.spec.dead_letter is not None and self.spec.dead_letter.kind != "none"

    @property
    def acceptable_delay(self) -> float:
        """For how many seconds the job is still of use, by its spec; 0 where it says nothing."""
        failures = self.spec.failures
        if failures is None:
            return 0.0
        return failures.acceptable_delay or 0.0

    def is_listed(self, event: Event, which: str) -> bool:
        """Whether an exception belongs to `transient` or `permanent`, by its class or a base class,
        or by what it was raised from or while it was handled.
        """
        listed: tuple[JobError, ...] = getattr(self.spec.failures, which, ())
        for name in (*(event["bases"] or ()), *(event["chain"] or ())):
            if any(same_class(error.type, name) for error in listed):
                return True
        return False

    def is_malformed(self, poison: int) -> bool:
        """Whether a poison message breaks the payload's own schema, so that nobody ever promised
        to do it.
        """
        import jsonschema

        if self.spec.proof is None or not self.spec.payload:
            return False
        payload = self.spec.proof.poison[poison]
        try:
            jsonschema.validate(payload, self.spec.payload)
        except jsonschema.ValidationError:
            return True
        return False


def count_new_letters(history: History, reference: Reference) -> int:
    """How many more dead letters a history leaves than the single run."""
    return (history.dead_letters or 0) - (reference.once.dead_letters or 0)


def ends_as(history: History, other: History, reference: Reference) -> bool:
    """Whether the state of a history is that of another one; what differs between two single runs
    is not asked.
    """
    for name, rows in history.state.items():
        if name not in reference.volatile and rows != other.state.get(name):
            return False
    return True


def is_kept(history: History, reference: Reference) -> bool:
    """Whether the job was given up, and a dead letter says so. After a death the library's own one
    is enough.
    """
    if not reference.has_dead_letter:
        return False
    if count_new_letters(history, reference) > 0:
        return True
    return history.schedule.has_crash and history.kept > 0


def _all_succeed(history: History) -> bool:
    """Whether every delivery to the handler succeeded."""
    return all(run.outcome == "succeeded" for run in history.runs)


def name_items(once: History) -> dict[str, str]:
    """Call name -> what the call is about, for the effects that one run calls for several things.

    Two calls that say the same are told apart by their keys.
    """
    by_effect: dict[str, list[Event]] = {}
    for call in once.performed():
        by_effect.setdefault(call["effect"], []).append(call)
    found: dict[str, str] = {}
    for calls in by_effect.values():
        if len(calls) == 1:
            continue
        for told in ("subject", "key"):
            distinct = {call[told] for call in calls} - {None}
            if len(distinct) == len(calls):
                found |= {call["name"]: call[told] for call in calls}
                break
    return found


def find_hit_items(history: History) -> set[tuple[str, str]]:
    """(subject, key) of the calls that met an injected error."""
    return {(str(at["subject"]), str(at["key"])) for at in _find_hit_calls(history)}


def find_hit_effects(history: History) -> set[str]:
    """The effects that met an injected error."""
    return {str(at["effect"]) for at in _find_hit_calls(history)}


def _find_hit_calls(history: History) -> Iterator[Event]:
    """Yields the boundaries at which an error was injected."""
    for delivery in history.runs:
        for at, fault in itertools.pairwise(delivery.events):
            if fault.kind == "fault" and fault["do"] == "raise" and at.kind == "at":
                yield at


def number_pieces(once: History) -> dict[tuple[str, str], int] | None:
    """(subject, key) of each call of the single run -> which piece of work it is a part of.

    By the order of the calls: as many of each effect are one of each for every piece; else a piece
    ends where an effect comes again. None where that order tells nothing: effects that come one
    after the other, and not equally often.
    """
    calls = once.performed()
    counts = Counter(call["effect"] for call in calls)
    seen: Counter[str] = Counter()
    in_piece: set[str] = set()
    by_turn: dict[tuple[str, str], int] = {}
    by_end: dict[tuple[str, str], int] = {}
    turns, number = 0, 0
    for before, call in itertools.pairwise([None, *calls]):
        if call is None:
            continue
        effect = call["effect"]
        what = str(call["subject"]), str(call["key"])
        by_turn[what] = seen[effect]
        seen[effect] += 1
        if effect in in_piece:
            number += 1
            in_piece.clear()
        in_piece.add(effect)
        by_end[what] = number
        turns += before is not None and before["effect"] != effect
    if len(set(counts.values())) <= 1:
        return by_turn
    if turns >= len(counts):
        return by_end
    return None


def same_class(named: str, seen: str) -> bool:
    """Whether a class as the spec names it ("shop.mailer:Unavailable", "TimeoutError") is the one
    that was raised ("builtins:TimeoutError").
    """
    if ":" not in named and "." not in named:
        return seen == f"builtins:{named}"
    return named.replace(":", ".") == seen.replace(":", ".")


def is_permanent(reference: Reference, fault: Fault) -> bool:
    """Whether an injected error is declared permanent.

    One class may be both, by its arguments: HTTP 503 and 404. The index of a fault counts the
    entries of its class, first the transient ones and then the permanent ones.
    """
    failures = reference.spec.failures
    if failures is None:
        return False
    transient = failures.transient_names.count(fault.error)
    permanent = failures.permanent_names.count(fault.error)
    return transient <= fault.index < transient + permanent


def is_success(reference: Reference, fault: Fault) -> bool:
    """Whether an injected error is declared to mean success. The entries of its class that mean
    success are counted after the transient and the permanent ones.
    """
    failures = reference.spec.failures
    if failures is None or not fault.error:
        return False
    failed = (*failures.transient_names, *failures.permanent_names).count(fault.error)
    return failed <= fault.index < failed + failures.success_names.count(fault.error)


# Families of schedules after which the job must have been done: what happens in them may delay it,
# and is no reason to give it up.
MUST_COMPLETE = frozenset(
    (
        "once",
        "redeliver",
        "re-enqueue",
        "sweep",
        "window",
        "window-swept",
        "kill",
        "kill-lose",
        "double-kill",
        "error",
        "at-once",
        "stall",
        "distinct",
        "distinct-at-once",
        "fresh-interpreter",
        "publish-fault",
        "before-commit",
        "dst",
    )
)


def must_complete(history: History, reference: Reference) -> bool:
    """Whether the job must have been done at the end of the schedule, exactly as in the single
    run.
    """
    schedule = history.schedule
    if schedule.emptied is not None:
        # That a sweep brings the job back is a promise of the spec.
        return bool(reference.spec.recovers) and was_met(history) and not _sweeps_do_work(history)
    if schedule.family not in MUST_COMPLETE or gives_up(history, reference):
        return False
    if any(is_success(reference, fault) for fault in schedule.faults):
        return False  # what was done before may have left other rows
    return not any(is_permanent(reference, fault) for fault in schedule.faults)


def _sweeps_do_work(history: History) -> bool:
    """Whether a sweep does the work itself, and that of other jobs as well: then it is compared by
    `judges.broker`.
    """
    return any(sweep.op == "recover" and sweep.performs(None) for sweep in history.deliveries)


# The store or the broker fails in them, or each worker dies: no promise of attempts or of logs
# speaks of how such a delivery ends.
OUTAGES = frozenset(
    (
        "store-error",
        "retry-lost",
        "letter-lost",
        "crash-loop",
        "copies",
        "late-back",
        "effect-hangs",
        "receiver-away",
        "early",
        "secret-echoed",
        "store-emptied",
        "store-restored",
        "store-dropped",
    )
)


def is_outage(schedule: Schedule) -> bool:
    """Whether no promise of attempts or of logs speaks of how its deliveries end: see `OUTAGES`.
    A store may fail in another family, too, where deliveries share a process.
    """
    return schedule.family in OUTAGES or "fail" in schedule.does


# The application publishes too early, or not at all: no error of the job's own is an excuse.
OF_PUBLISHER = frozenset(("publish-fault", "before-commit"))


def gives_up(history: History, reference: Reference) -> bool:
    """Whether the job must have been given up: with an error that does not pass, or that may not be
    tried again.
    """
    family, faults = history.schedule.family, history.schedule.faults
    # In a schedule of late errors another delivery does the job.
    if family == "late-error" or is_outage(history.schedule):
        return False
    if family in ("poison", "exhaustion"):
        return True
    if any(is_permanent(reference, fault) for fault in faults):
        return True
    if any(is_success(reference, fault) for fault in faults):
        return False
    return family == "error" and reference.max_attempts == 1


def was_met(history: History) -> bool:
    """Whether the schedule's faults really came about: a fault that was never reached shows
    nothing, and neither does a broker that had nothing to lose.
    """
    met = {event["do"] for event in history.all("fault")}
    if history.schedule.emptied is not None:
        return EMPTY in met
    return not history.schedule.faults or bool(met)
