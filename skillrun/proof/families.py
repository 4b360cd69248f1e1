"""Which schedules a job gets: from its spec, and from the boundaries that its single run showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.history import Event, History, ends_with_connection, lasts
from skillrun.proof.reference import items_of
from skillrun.proof.schedule import EVERY, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobError, JobSpec

DAY_S = 86400.0
NOT_VARIED = "no key field of the first example has a value that others can be derived from"
NO_POISON = "proof.poison has no payload"
MOST = 300  # schedules of a default proof
# Families that grow with the boundaries, or with their square, get so many of them at most, spread
# evenly: a proof has to end within minutes.
_AT_ONCE = 60
_BESIDE = 30
_SAME = 12
# Just inside a declared window: the clock moves on a little with each delivery.
_INSIDE = 0.98
_BEYOND = 1.05
# A day and an hour: whatever holds for a day is over.
_LONG_WAIT_S = 25 * 3600.0
# Longer than any receiver remembers a key.
_FOR_EVER_S = 30 * DAY_S
# Longer than a lock should live.
_STALL_S = 3600.0


@dataclass
class Plan:
    """Schedules in the order in which they are tried (the simplest first), and families that do not
    apply.
    """

    schedules: list[Schedule] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # family -> why
    # Family -> schedules left out because of the limit.
    cut: dict[str, int] = field(default_factory=dict)

    def add(
        self, family: str, schedules: Iterator[Schedule] | list[Schedule], most: int = MOST
    ) -> None:
        """Takes a family's schedules up to a number; spread evenly where there are more."""
        found = list(dict.fromkeys(schedules))
        kept = found
        if len(found) > most:
            kept = [found[i * len(found) // most] for i in range(most)]
        self.schedules += kept
        if len(found) > len(kept):
            self.cut[family] = len(found) - len(kept)


def find_boundaries(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of a delivery to the handler, in order."""
    if delivery >= len(history.runs):
        return []
    return [event for event in history.runs[delivery].events if event.kind == "at"]


def find_callback_boundaries(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of what the library called after a delivery to the handler."""
    found: list[Event] = []
    if delivery < len(history.runs):
        for called in history.callbacks(history.runs[delivery]):
            found += called.all("at")
    return found


def kill_points(boundaries: list[Event]) -> list[str]:
    """Where a death makes a difference: around whatever outlasts the process, and after each
    uncommitted write.
    """
    return [event.boundary for event in boundaries if event.boundary and _outlasts_process(event)]


def _outlasts_process(event: Event) -> bool:
    """Or would, once it is committed."""
    if event["kind"] == "sql":
        return bool(event["verb"] != "select" and event["when"] == "after")
    if event["kind"] == "redis":
        return bool(event["write"])
    return event["kind"] in ("effect", "commit", "publish")


def switch_points(boundaries: list[Event]) -> list[str]:
    """Where another delivery may get in between: before each step, and between two transactions.

    Before the first step of one that was begun by a statement of its own it is too late: it may
    hold the lock.
    """
    found: list[str] = []
    committed: dict[str, str] = {}  # store -> the commit after which nothing was done there
    for event in boundaries:
        store = str(event["store"])
        if event["when"] == "after" and event["kind"] == "commit" and event.boundary:
            committed[store] = event.boundary
        elif event["when"] == "before" and event.boundary:
            since = committed.pop(store, None)
            if since and event["begun"]:
                found.append(since)
            found.append(event.boundary)
    return found


def plan_schedules(
    spec: JobSpec,
    once: History,
    facts: BootFacts,
    jobs: list[int],
    caller: list[Event],
    varied: int = 0,
    *,
    daily: bool = False,
) -> Plan:
    """Everything that can be planned from the single run; `double_kills` follow from the kills' own
    histories. `daily`: each day's ticks were seen to be a job of their own.
    """
    plan = Plan()
    boundaries = find_boundaries(once)
    steps = switch_points(boundaries)
    kills = kill_points([*boundaries, *find_callback_boundaries(once)])
    polled = ticks.is_polled(spec, facts)
    names = _find_what_can_fail(spec, boundaries)
    failing = _mark_items(names, once) if facts.ticks else names
    plan.add("redeliver", [Schedule("redeliver", moves=("redeliver",))])
    plan.add("re-enqueue", [Schedule("re-enqueue", moves=("re-enqueue",))])
    is_other_by_day = facts.ticks and (daily or _is_cron_job(spec))
    if not is_other_by_day:
        plan.add("window", _plan_windows(spec))
    plan.add("error", _plan_errors(spec, names, facts))
    plan.add("exhaustion", _plan_exhaustions(spec, failing, facts))
    plan.add("permanent", _plan_permanent_errors(spec, failing, facts))
    plan.add("poison", _plan_poison(spec))
    plan.add("distinct", [Schedule("distinct", moves=(f"job={job}",)) for job in jobs])
    plan.add("distinct", _plan_two_given_up(plan.schedules, jobs, facts))
    if varied:
        plan.add("varied", [Schedule("varied", moves=(f"varied=1-{varied}",))])
    plan.add("distinct-at-once", _plan_distinct_at_once(steps, jobs, facts), _BESIDE)
    plan.add("same-process", _plan_same_process(plan.schedules, jobs, facts), _SAME)
    plan.add("store-error", _plan_store_errors(boundaries))
    _add_deaths(plan, spec, kills, facts, polled=polled, daily=daily)
    plan.add("at-once", _plan_at_once(steps), _AT_ONCE)
    plan.add("stall", _plan_stalls(spec, steps, ticks.is_clocked(spec, facts)))
    plan.add("late-error", _plan_late_errors(spec, plan.schedules))
    plan.add("fresh-interpreter", _plan_fresh_interpreter(boundaries, facts))
    plan.add("publish-fault", _plan_publish_faults(caller, facts))
    plan.add("before-commit", _plan_before_commit(caller))
    if not polled:
        plan.add("dst", plan_dst(spec))
    _name_skipped(plan, spec)
    _name_what_ticks_skip(plan, spec, facts, polled=polled)
    if is_other_by_day:
        plan.skipped["window"] = "a tick of another day is another job"
    return plan


def _mark_items(names: list[str], once: History) -> list[str]:
    """What fails for each item of a tick's work is marked as such."""
    items = items_of(once)
    return [f"{name}!" if name in items else name for name in names]


def _is_cron_job(spec: JobSpec) -> bool:
    """Whether its tick alone says which job it is."""
    return spec.trigger is not None and spec.trigger.type == "cron" and spec.enqueue is None


def _plan_poison(spec: JobSpec) -> list[Schedule]:
    """Each of the spec's poison payloads."""
    if spec.proof is None:
        return []
    poison = spec.proof.poison
    return [Schedule("poison", poison=number) for number in range(len(poison))]


def _add_deaths(
    plan: Plan, spec: JobSpec, kills: list[str], facts: BootFacts, *, polled: bool, daily: bool
) -> None:
    """A death at each of the find_boundaries; where messages may be lost, with and without its own."""
    plan.add("kill", _plan_kills(kills, facts))
    if polled and not daily:
        plan.add("kill", _plan_next_day(spec, polled))
    if facts.ticks:
        # Ticks look for their work: there is no message that could be lost.
        plan.add("kill-lose", [])
        return
    lost = [Schedule("kill-lose", (Fault("kill", at),), ("re-enqueue",), lose=True) for at in kills]
    plan.add("kill-lose", [*lost, *_plan_next_day(spec, polled)])


def _name_what_ticks_skip(plan: Plan, spec: JobSpec, facts: BootFacts, *, polled: bool) -> None:
    """Reasons that hold for callables that are started by a clock."""
    if polled and plan_dst(spec):
        plan.skipped["dst"] = (
            "a tick looks for its work: one more in the hour that comes twice is as redeliver"
        )
    if facts.ticks and spec.enqueue is None:
        plan.skipped["poison"] = "a tick takes no payload"
    if facts.ticks:
        plan.skipped["kill-lose"] = "no message is lost where ticks look for their work"


def _plan_windows(spec: JobSpec) -> list[Schedule]:
    """Just inside the declared window, and a day later; for ever is taken as longer than any
    receiver remembers.
    """
    window = _read_dedupe_window(spec)
    if window is None:
        beyond = [effect.window * _BEYOND for effect in spec.effects or () if effect.window]
        window = max([_FOR_EVER_S, *beyond])
    waits = {min(_LONG_WAIT_S, window * _INSIDE), window * _INSIDE}
    return [Schedule("window", moves=(f"wait={int(wait)}", "redeliver")) for wait in sorted(waits)]


def _read_dedupe_window(spec: JobSpec) -> float | None:
    """How long the job promises to know a duplicate; None: for ever, or not said."""
    if spec.idempotency is None or spec.idempotency.dedupe is None:
        return None
    return spec.idempotency.dedupe.window


def _find_what_can_fail(spec: JobSpec, boundaries: list[Event]) -> list[str]:
    """Names of what can fail: each call of each effect; in a job without effects its first
    write.
    """
    begun = [event for event in boundaries if event["when"] == "before"]
    calls = [event["name"] for event in begun if event["kind"] == "effect"]
    if calls:
        return calls
    writes = [e["name"] for e in begun if e["kind"] == "sql" and e["verb"] != "select"]
    return writes[:1]


def can_raise(spec: JobSpec, name: str, error: str, facts: BootFacts) -> bool:
    """Whether an error comes out of what `name` stands for: an adapter's own exceptions come out of
    that adapter alone.

    One of the repository's that the adapter's module has no name for comes from elsewhere, too; a
    library's or a built-in one may come out of any.
    """
    if error in facts.foreign_errors.get(name.partition("#")[0], ()):
        return False
    adapters = {effect.name: effect.call.partition(":")[0] for effect in spec.effects or ()}
    home = error.partition(":")[0]
    mine = adapters.get(name.partition("#")[0])
    return mine is None or home not in adapters.values() or home == mine


def _number_errors(
    errors: tuple[JobError, ...], before: tuple[JobError, ...] = ()
) -> list[tuple[str, int]]:
    """(class, which of the entries with that class); `before`: the entries that are counted
    first.
    """
    names = [error.type for error in (*before, *errors)]
    numbered = [(name, names[:at].count(name)) for at, name in enumerate(names)]
    return numbered[len(before) :]


def _plan_errors(spec: JobSpec, names: list[str], facts: BootFacts) -> Iterator[Schedule]:
    """Each transient error before each call, and after it: the effect took place and its answer was lost."""
    failures = spec.failures
    if failures is None:
        return
    effects = spec.effects or ()
    at_most_once = [effect.name for effect in effects if effect.guarantee == "at_most_once"]
    for error, index in _number_errors(failures.transient):
        for name in names:
            if not can_raise(spec, name, error, facts):
                continue
            yield Schedule("error", (Fault("raise", f"before:{name}", 1, error, index),))
            answer_lost = Fault("raise", f"after:{name}", 1, error, index)
            yield Schedule("error", (answer_lost,))
            if name.rpartition("#")[0] in at_most_once:
                # Also once the job was given up.
                yield Schedule("error", (answer_lost,), ("redeliver",))


def _plan_permanent_errors(spec: JobSpec, names: list[str], facts: BootFacts) -> Iterator[Schedule]:
    """Each permanent error before each call, however often that is made: it does not pass."""
    if spec.failures is None:
        return
    # One class may be named among the transient errors too: those are counted first.
    for error, index in _number_errors(spec.failures.permanent, spec.failures.transient):
        for name in names:
            if can_raise(spec, name, error, facts):
                fault = Fault("raise", f"before:{name}", EVERY, error, index)
                yield Schedule("permanent", (fault,))


def _plan_exhaustions(spec: JobSpec, names: list[str], facts: BootFacts) -> Iterator[Schedule]:
    """An error that does not pass: the job must be given up, after as many attempts as declared."""
    if spec.failures is None:
        return
    # A piece of work (`email#2!`) is met each time; of an effect, every call is (`email#*`).
    every = [name if name.endswith("!") else f"{name.rpartition('#')[0]}#*" for name in names]
    places = list(dict.fromkeys(every))
    backoff = spec.retry.backoff if spec.retry else None
    # Whether waits are random is asked once: one error is as good as another.
    asks_for_jitter = backoff is not None and backoff.jitter
    for error, index in _number_errors(spec.failures.transient):
        for name in places:
            if not can_raise(spec, name, error, facts):
                continue
            fault = Fault("raise", f"before:{name}", EVERY, error, index)
            yield Schedule("exhaustion", (fault,))
            if asks_for_jitter:
                yield Schedule("exhaustion", (fault,), low_jitter=True)
                asks_for_jitter = False


def _plan_kills(kills: list[str], facts: BootFacts) -> Iterator[Schedule]:
    """`victims_differ`: the library treats a dead child and a dead worker differently."""
    for at in kills:
        yield Schedule("kill", (Fault("kill", at),))
    if facts.victims_differ:
        for at in kills:
            yield Schedule("kill", (Fault("kill-worker", at),))


def _plan_store_errors(boundaries: list[Event]) -> Iterator[Schedule]:
    """The store is away, or locked, for one commit, or for one write that would have been its own
    commit.
    """
    for event in boundaries:
        if ends_with_connection(str(event["store"])):
            continue
        is_commit = event["kind"] == "commit" and event["when"] == "before"
        # Only after a write is it known that no transaction is open.
        is_write = event["kind"] == "sql" and event["verb"] != "select" and event["when"] == "after"
        commits_alone = is_write and event["open"] is False
        if is_commit or commits_alone:
            yield Schedule("store-error", (Fault("fail", f"before:{event['name']}"),))


def double_kills(history: History) -> Iterator[Schedule]:
    """A second death in the delivery that follows a first one: its boundaries are its own."""
    first = history.schedule.faults[0]
    for number in range(1, len(history.runs)):
        found = kill_points(find_boundaries(history, number))
        for at in found:
            yield Schedule("double-kill", (first, Fault("kill", at, number + 1)))
        if found:
            return  # the ticks before it found nothing to do


def failing_kills(history: History) -> Iterator[Schedule]:
    """A death while a job is given up: before its last attempt gets to the error, while its retry
    is published, or its dead letter written.
    """
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
        left = [event for event in before if event.kind == "at" and lasts(event)]
        if is_last_of_several and left:
            places.append(str(fault["at"]))
        own = [event for event in after if event.kind == "at"]
        places += kill_points([*own, *find_callback_boundaries(history, number)])
        for at in places:
            faults = (*history.schedule.faults, Fault("kill", at, number + 1))
            yield Schedule(history.schedule.family, faults)


def last_chance(history: History) -> Iterator[Schedule]:
    """The error passes just in time: the last attempt succeeds, and the job is not given up."""
    schedule = history.schedule
    if schedule.has_crash or schedule.low_jitter:
        return
    every = next((fault for fault in schedule.faults if fault.error), None)
    if every is None:
        return
    met: list[Fault] = []
    for number, delivery in enumerate(history.runs, 1):
        for event in delivery.all("fault"):
            if event["do"] == "raise":
                met.append(replace(every, at=str(event["at"]), delivery=number))
    if len(met) > 1:
        yield Schedule("error", tuple(met[:-1]))


def _plan_next_day(spec: JobSpec, polled: bool) -> Iterator[Schedule]:
    """A key that contains the time is another one when the job is done again on the next day."""
    for effect in spec.effects or ():
        if effect.guarantee != "keyed":
            continue
        fault = Fault("kill", f"after:{effect.name}#1")
        if polled:
            yield Schedule("kill", (fault,), midnight=True)
        else:
            # It begins two seconds before midnight: five are enough.
            moves = ("wait=5", "re-enqueue")
            yield Schedule("kill-lose", (fault,), moves, lose=True, midnight=True)


def _plan_at_once(steps: list[str]) -> Iterator[Schedule]:
    """Two deliveries with one and two switches, then three."""
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at),), copies=2)
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at), Fault("switch", at)), copies=3)
    for at in steps:
        for then in steps:
            yield Schedule("at-once", (Fault("switch", at), Fault("switch", then)), copies=2)


def _plan_same_process(
    planned: list[Schedule], jobs: list[int], facts: BootFacts
) -> Iterator[Schedule]:
    """What a worker keeps in memory: a session after an error, a cache, a module's variable.

    The first error at each place, which ends the first job or its first attempt; then another job.
    """
    if not facts.same_process:
        return
    other = (f"job={jobs[0]}",) if jobs else ()
    yield Schedule("same-process", moves=("redeliver", *other), same=True)
    for schedule in planned:
        if schedule.family == "window":
            yield replace(schedule, family="same-process", same=True)
    seen = set[tuple[str, str]]()
    for schedule in planned:
        first = schedule.faults[0] if schedule.faults else None
        if schedule.family == "poison":
            place = ("poison", "")
        elif first is not None and schedule.family in ("error", "permanent") and not schedule.moves:
            place = (schedule.family, first.at)
        else:
            continue
        if place not in seen:
            seen.add(place)
            faults = tuple(replace(fault, delivery=1) for fault in schedule.faults)
            yield replace(schedule, family="same-process", faults=faults, moves=other, same=True)


def _plan_two_given_up(
    planned: list[Schedule], jobs: list[int], facts: BootFacts
) -> Iterator[Schedule]:
    """Two jobs that cannot be done, one after the other: each leaves a dead letter of its own."""
    first = next((schedule for schedule in planned if schedule.family == "permanent"), None)
    if first is not None and jobs and not facts.ticks:
        yield replace(first, family="distinct", moves=(f"job={jobs[0]}",))


def _plan_distinct_at_once(
    steps: list[str], jobs: list[int], facts: BootFacts
) -> Iterator[Schedule]:
    """Two jobs that share something, each between two steps of the other: a lost update."""
    if jobs and not facts.ticks:
        for at in steps:
            yield Schedule("distinct-at-once", (Fault("switch", at),), beside=jobs[0])


def _plan_stalls(spec: JobSpec, steps: list[str], clocked: bool) -> Iterator[Schedule]:
    """An hour, or half of the shortest window where that is less: longer than a lock should
    live.
    """
    windows = [effect.window for effect in spec.effects or () if effect.window]
    promised = _read_dedupe_window(spec)
    if promised:
        windows.append(promised)
    if clocked and spec.trigger:
        # The tick's own job: the next ones are other jobs.
        windows.append(ticks.period_s(spec.trigger.schedule) / 3)
    wait = int(min([_STALL_S, *(window / 2 for window in windows)]))
    for at in steps:
        yield Schedule("stall", (Fault("stall", at),), (f"wait={wait}", "redeliver"))


def _plan_late_errors(spec: JobSpec, planned: list[Schedule]) -> Iterator[Schedule]:
    """A slow delivery fails when another one has done the job: one transient error of each effect,
    one permanent.
    """
    stalls = {schedule.faults[0].at: schedule for schedule in planned if schedule.family == "stall"}
    seen = set[tuple[str, str]]()
    for schedule in planned:
        if schedule.family not in ("error", "permanent") or not schedule.faults:
            continue
        first = schedule.faults[0]
        at = first.at.rstrip("!")  # a stall has no piece of work of its own
        if at in stalls and (schedule.family, first.at) not in seen:
            seen.add((schedule.family, first.at))
            stall, late = stalls[at], replace(first, at=at, delivery=1)
            yield replace(stall, family="late-error", faults=(*stall.faults, late))


def _plan_fresh_interpreter(boundaries: list[Event], facts: BootFacts) -> Iterator[Schedule]:
    """What a death loses by design is published again."""
    lossy = facts.lossy
    yield Schedule("fresh-interpreter", moves=("redeliver",), fresh=True)
    again = ("re-enqueue",) if lossy else ()
    for event in boundaries:
        if event["kind"] == "effect" and event["when"] == "after" and event.boundary:
            fault = Fault("kill", event.boundary)
            yield Schedule("fresh-interpreter", (fault,), again, lose=lossy, fresh=True)


def _plan_publish_faults(caller: list[Event], facts: BootFacts) -> Iterator[Schedule]:
    """The publisher dies, or the broker is away; then the application tries again."""
    for event in caller:
        if not event.boundary or event["kind"] not in ("publish", "commit"):
            continue
        yield Schedule("publish-fault", (Fault("caller-kill", event.boundary),))
        if event["kind"] == "publish" and event["when"] == "before":
            error = facts.broker_error
            fault = Fault("caller-raise", event.boundary, error=error)
            yield Schedule("publish-fault", (fault,))


def _plan_before_commit(caller: list[Event]) -> Iterator[Schedule]:
    """The publisher stands still between its publish and its commit: a worker is faster."""
    for event in caller:
        if event["kind"] == "publish" and event["when"] == "after" and event.boundary:
            yield Schedule("before-commit", (Fault("caller-pause", event.boundary),))


def plan_dst(spec: JobSpec) -> list[Schedule]:
    """The two ticks of a daily time in the hour that comes twice when clocks are turned back."""
    trigger = spec.trigger
    if trigger is None or trigger.type != "cron":
        return []
    twice = ticks.fires_twice(trigger.schedule, trigger.timezone)
    if twice is None:
        return []
    return [Schedule("dst", moves=tuple(f"tick={int(at)}" for at in twice))]


def _why_not_varied(spec: JobSpec) -> str:
    keyed = any(effect.key_arg for effect in spec.effects or ())
    if not keyed or spec.idempotency is None or spec.idempotency.strategy != "keyed":
        return "no keyed effect could tell such payloads apart"
    return NOT_VARIED


def _name_skipped(plan: Plan, spec: JobSpec) -> None:
    """Each family that has no schedule, and why."""
    present = {schedule.family for schedule in plan.schedules}
    why_no_error = "no transient error is declared"
    if spec.failures is not None and spec.failures.transient:
        why_no_error = "nothing in it can fail"
    reasons = {
        "error": why_no_error,
        "exhaustion": "no transient error is declared that an effect could raise",
        "permanent": "no permanent error is declared that an effect could raise",
        "poison": NO_POISON,
        "distinct": "no second job could be run: see payload.examples",
        "same-process": "each delivery of this proof has a process of its own",
        "varied": _why_not_varied(spec),
        "distinct-at-once": "no second job comes as a message of its own",
        "store-error": "the single run commits nothing",
        "kill": "the single run has no boundary at which a death makes a difference",
        "kill-lose": "as kill",
        "at-once": "the single run has no boundary",
        "stall": "the single run has no boundary",
        "late-error": "no error is declared that an effect could raise",
        "publish-fault": "enqueue is not given",
        "before-commit": "enqueue is not given",
        "dst": (
            "no cron trigger that fires in the hour that comes twice when its time zone turns"
            " clocks back"
        ),
    }
    plan.skipped |= {family: why for family, why in reasons.items() if family not in present}
