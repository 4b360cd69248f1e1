"""Nothing fails: the message comes again, later, malformed, or beside another job's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from typing import TYPE_CHECKING

from skillrun.proof import ticks
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import list_written_keys, writes_to_cache
from skillrun.proof.schedule import FORGET, RESTORE, SECOND_RUN_S, SWEEP, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

NOT_VARIED = "no key field of the first example has a value that others can be derived from"
NO_POISON = "proof.poison has no payload"
# The only store whose connections are closed from the other side: as `probe/postgres.py` calls it.
POSTGRESQL = "postgresql"
_DAY_S = 86400.0
# Just inside a declared window: the clock moves on a little with each delivery.
_INSIDE = 0.98
# Clearly outside of one, whatever a receiver rounds its own to.
_BEYOND = 1.05
# A day and an hour: whatever holds for a day is over.
_LONG_WAIT_S = 25 * 3600.0
# Longer than any receiver remembers a key.
_FOR_EVER_S = 30 * _DAY_S
# Of the schedules whose deliveries share a process.
_SAME = 12


@family("redeliver", "nothing is delivered")
def redeliver(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The same message again, once the job is done."""
    yield Schedule("redeliver", moves=("redeliver",))


@family("re-enqueue", "nothing is delivered")
def re_enqueue(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Another message for the same job, once that is done."""
    yield Schedule("re-enqueue", moves=("re-enqueue",))


def _keeps_nothing_in_redis(situation: Situation) -> str | None:
    for event in situation.boundaries:
        if list_written_keys(event) or writes_to_cache(event):
            return None
    return "the single run writes nothing to Redis, and nothing to a cache in the database"


@family("store-emptied", "nothing is delivered", unless=_keeps_nothing_in_redis)
def store_emptied(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The job is done, Redis comes back without what it wrote there (or its cache was cleared), and
    so does the message; or another job comes, whose key may be made of what begins anew.
    """
    yield Schedule("store-emptied", moves=(FORGET, "redeliver"))
    for job in situation.jobs[:1]:
        yield Schedule("store-emptied", moves=(FORGET, f"job={job}"))


@family(
    "store-emptied",
    "no attempt fails once an effect has taken place",
    unless=_keeps_nothing_in_redis,
)
def store_emptied_between(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """An effect has taken place, the attempt fails then (its answer is lost, or the next effect's
    receiver is away), and before the next attempt Redis comes back without what the first one wrote
    there. What is known of a job that is not done yet counts too.
    """
    seen = set[str]()
    # Who calls a function by itself calls it again.
    again = ("re-enqueue",) if situation.facts.is_called else ()
    for schedule in planned:
        if schedule.family != "error" or not _fails_halfway(situation, schedule):
            continue
        place = schedule.faults[0].at
        if place not in seen:
            seen.add(place)
            yield replace(schedule, family="store-emptied", redis_emptied=1, moves=again)


def _keeps_nothing_in_database(situation: Situation) -> str | None:
    if situation.polled:
        return "a clock starts the job: its next tick finds other work"
    for event in situation.boundaries:
        if event["kind"] == "sql" and event["verb"] != "select":
            return None
    return "the single run writes nothing to a database"


@family("store-restored", "no distinct job can be run", unless=_keeps_nothing_in_database)
def store_restored(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The job is done, a backup that was made before it is put back, and another job comes: a key
    that is made of what the database holds may be the one that the first job has used.
    """
    for job in situation.jobs[:1]:
        yield Schedule("store-restored", moves=(RESTORE, f"job={job}"))


def _fails_halfway(situation: Situation, schedule: Schedule) -> bool:
    """The first attempt alone fails, once an effect has taken place."""
    if len(schedule.faults) != 1 or schedule.moves or schedule.low_jitter:
        return False
    fault = schedule.faults[0]
    if fault.do != "raise" or fault.delivery != 1:
        return False
    if fault.at.startswith("after:"):
        return True
    return fault.at in [f"before:{name}" for name in situation.failing[1:]]


def _is_other_by_day(situation: Situation) -> str | None:
    if situation.is_other_by_day:
        return "a tick of another day is another job"
    return None


@family("window", "no duplicate is expected", unless=_is_other_by_day)
def window(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Just inside the declared window, and a day later; for ever is taken as longer than any
    receiver remembers.
    """
    length = read_dedupe_window(situation.spec)
    if length is None:
        beyond = [effect.window * _BEYOND for effect in situation.effects if effect.window]
        length = max([_FOR_EVER_S, *beyond])
    waits = {min(_LONG_WAIT_S, length * _INSIDE), length * _INSIDE}
    for wait in sorted(waits):
        yield Schedule("window", moves=(f"wait={int(wait)}", "redeliver"))


# A sweep that looks for what stands still takes its time: up to a day and an hour.
_ROOM_FOR_SWEEPS = 2


def _is_never_swept(situation: Situation) -> str | None:
    if not situation.spec.recovers:
        return "recovers names no sweep"
    return _is_other_by_day(situation)


@family("window-swept", "no duplicate is expected", unless=_is_never_swept)
def window_swept(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The sweeps come well within the declared window, then the message once more: what they tidy
    up may be what the job knows duplicates by.
    """
    length = read_dedupe_window(situation.spec) or _FOR_EVER_S
    wait = length / _ROOM_FOR_SWEEPS
    if wait > _LONG_WAIT_S:
        yield Schedule("window-swept", moves=(f"wait={int(wait)}", SWEEP, "redeliver"))


def read_dedupe_window(spec: JobSpec) -> float | None:
    """How long the job promises to know a duplicate, in seconds; None: for ever, or not said."""
    if spec.idempotency is None or spec.idempotency.dedupe is None:
        return None
    return spec.idempotency.dedupe.window


# A worker that was away over a holiday, or a dead letter that somebody publishes again.
_LONG_LATE_S = 8 * _DAY_S


def _waits_for_no_message(situation: Situation) -> str | None:
    has_none = situation.facts.ticks or situation.facts.is_called or situation.polled
    if has_none:
        return "no message waits: a tick is late for nobody"
    return None


@family("late", "nothing is delivered", unless=_waits_for_no_message)
def late(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The message waited, for nearly as long as the job is of use, and for a week."""
    failures = situation.spec.failures
    accepted = (failures.acceptable_delay or 0.0) if failures else 0.0
    for seconds in (accepted * _INSIDE, _LONG_LATE_S):
        if seconds > SECOND_RUN_S:
            yield Schedule("late", late=int(seconds))


def _takes_no_payload(situation: Situation) -> str | None:
    takes_none = situation.facts.ticks and situation.spec.enqueue is None
    if takes_none:
        return "a tick takes no payload"
    return None


# As many as a sweep of every few minutes leaves behind while the worker is away.
_COPIES = 3


def _has_one_tick(situation: Situation) -> str | None:
    has_none = situation.facts.ticks or situation.facts.is_called
    if has_none:
        return "without messages there are no copies"
    return None


@family("copies", "no error is tried that does not pass", unless=_has_one_tick)
def copies(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The worker was away, and copies of the message wait; then an effect fails for a long time."""
    for schedule in planned:
        if schedule.family == "exhaustion" and not schedule.low_jitter:
            yield replace(schedule, family="copies", waiting=_COPIES)
            return


@family("poison", NO_POISON, unless=_takes_no_payload)
def poison(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Each of the spec's poison payloads."""
    proof = situation.spec.proof
    for number in range(len(proof.poison) if proof else 0):
        yield Schedule("poison", poison=number)


@family("distinct", "no second job could be run: see payload.examples")
def distinct(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Another job after this one, and before it; then this one's message again after both."""
    for job in situation.jobs:
        yield Schedule("distinct", moves=(f"job={job}",))
    if situation.facts.ticks:
        return
    for job in situation.jobs:
        yield Schedule("distinct", first=job)
        yield Schedule("distinct", moves=(f"job={job}", "redeliver"))


@family("distinct", "no second job could be run: see payload.examples")
def two_given_up(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Two jobs that cannot be done, one after the other: each leaves a dead letter of its own."""
    first = next((schedule for schedule in planned if schedule.family == "permanent"), None)
    if first is not None and situation.jobs and not situation.facts.ticks:
        yield replace(first, family="distinct", moves=(f"job={situation.jobs[0]}",))


def _begins_with_ticks(situation: Situation) -> str | None:
    if situation.facts.ticks:
        return "ticks look for their work"
    return None


@family(
    "after-failure",
    "no permanent error is declared that an effect could raise, or there is no second job",
    unless=_begins_with_ticks,
)
def after_failure(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A job that cannot be done is given up, and then another one comes that can be done."""
    first = next((schedule for schedule in planned if schedule.family == "permanent"), None)
    if first is None:
        return
    once = tuple(replace(fault, delivery=1) for fault in first.faults)
    for job in situation.jobs:
        yield Schedule("after-failure", once, (f"job={job}",))


def _has_no_keyed_effect(situation: Situation) -> str | None:
    idempotency = situation.spec.idempotency
    keyed = any(effect.key_arg for effect in situation.effects)
    if keyed and idempotency is not None and idempotency.strategy == "keyed":
        return None
    return "no keyed effect could tell such payloads apart"


@family("varied", NOT_VARIED, unless=_has_no_keyed_effect)
def varied(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Payloads that nobody gave, varied in a key field: distinct keys in are distinct keys out."""
    if situation.varied:
        yield Schedule("varied", moves=(f"varied=1-{situation.varied}",))


@family("same-process", "each delivery of this proof has a process of its own", most=_SAME)
def same_process(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """What a worker keeps in memory: a session after an error, a cache, a module's variable.

    The first error at each place, which ends the first job or its first attempt; then another job.
    """
    if not situation.facts.same_process:
        return
    jobs = situation.jobs
    other = (f"job={jobs[0]}",) if jobs else ()
    yield Schedule("same-process", moves=("redeliver", *other), same=True)
    for schedule in planned:
        if schedule.family == "window":
            yield replace(schedule, family="same-process", same=True)
    seen = set[tuple[str, str]]()
    for schedule in planned:
        place = _find_place(schedule)
        if place is not None and place not in seen:
            seen.add(place)
            faults = tuple(replace(fault, delivery=1) for fault in schedule.faults)
            yield replace(schedule, family="same-process", faults=faults, moves=other, same=True)


# As `_DROPS`: each commit is one more place after which a process may remember too much.
_REFUSED = 4


@family("same-process", "the single run commits nothing", most=_REFUSED)
def same_process_refused(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The store refuses a commit, and what comes next comes to the process that remembers what was
    never committed.
    """
    if not situation.facts.same_process:
        return
    for event in situation.boundaries:
        if event["kind"] == "commit" and event["when"] == "before":
            refused = Fault("fail", f"before:{event['name']}")
            yield Schedule("same-process", (refused,), ("redeliver",), same=True)


# Where the connection is new, where something was done over it, and where it is to be committed.
_DROPS = 4


@family("store-dropped", "no statement of the single run reaches a server", most=_DROPS)
def store_dropped(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The server closes the connection, in a worker that lives on; then another job comes."""
    if not situation.facts.same_process:
        return
    moves = ("redeliver",)
    if situation.jobs:
        moves = (f"job={situation.jobs[0]}",)
    for at in _find_drops(situation):
        fault = Fault("drop", at)
        yield Schedule("store-dropped", (fault,), moves, same=True)


def _find_drops(situation: Situation) -> list[str]:
    """The first statement over a connection to a server, and each commit."""
    found: list[str] = []
    for event in situation.boundaries:
        if event["store"] != POSTGRESQL or event["when"] != "before" or event.boundary is None:
            continue
        if event["kind"] == "commit" or not found:
            found.append(event.boundary)
    return found


def _find_place(schedule: Schedule) -> tuple[str, str] | None:
    """(kind, boundary) of what ends a first job, or an attempt of it."""
    if schedule.family == "poison":
        return "poison", ""
    fails = schedule.family in ("error", "permanent") and not schedule.moves
    if fails and schedule.faults:
        return schedule.family, schedule.faults[0].at
    return None


def _looks_for_its_work(situation: Situation) -> str | None:
    if situation.polled and situation.due is None and plan_dst(situation.spec):
        return "a tick looks for its work: one more in the hour that comes twice is as redeliver"
    return None


@family("calendar", "it is due on none of the days at the borders of months and years")
def calendar(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The job comes on a day from which a date that does not exist is easily worked out."""
    trigger = situation.spec.trigger
    schedule, zone = (trigger.schedule, trigger.timezone) if trigger is not None else (None, None)
    for day in ticks.list_border_days(schedule, zone):
        yield Schedule("calendar", day=day.isoformat())


@family(
    "dst",
    "no cron trigger that fires in the hour that comes twice when its time zone turns clocks back",
    unless=_looks_for_its_work,
)
def dst(situation: Situation, planned: Planned) -> list[Schedule]:
    """See `plan_dst`."""
    return plan_dst(situation.spec, situation.due)


def plan_dst(spec: JobSpec, due: time | None = None) -> list[Schedule]:
    """The two ticks of a daily time in the hour that comes twice when clocks are turned back.
    `due`: see `Situation`.
    """
    trigger = spec.trigger
    if trigger is None or trigger.type != "cron":
        return []
    twice = ticks.find_doubled_tick(trigger.schedule, trigger.timezone, due)
    if twice is None:
        return []
    return [Schedule("dst", moves=tuple(f"tick={int(at)}" for at in twice))]
