"""Which schedules a job gets: from its spec, and from the boundaries that its single run showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
_PAIRS = 60
_AT_ONCE = 60
_BESIDE = 30
_SAME = 12


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
        kept = found if len(found) <= most else [found[i * len(found) // most] for i in range(most)]
        self.schedules += kept
        if len(found) > len(kept):
            self.cut[family] = len(found) - len(kept)


def points(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of a delivery to the handler, in order."""
    runs = history.runs
    return (
        [event for event in runs[delivery].events if event.kind == "at"]
        if delivery < len(runs)
        else []
    )


def callback_points(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of what the library called after a delivery to the handler."""
    called = history.callbacks(history.runs[delivery]) if delivery < len(history.runs) else ()
    return [event for process in called for event in process.events if event.kind == "at"]


def kill_points(boundaries: list[Event]) -> list[str]:
    """Where a death makes a difference: around whatever outlasts the process, and after each
    uncommitted write.
    """
    return [event.boundary for event in boundaries if event.boundary and _outlasts(event)]


def _outlasts(event: Event) -> bool:
    if event["kind"] == "sql":
        return bool(event["verb"] != "select" and event["when"] == "after")
    return event["kind"] in ("effect", "commit", "publish") or bool(
        event["kind"] == "redis" and event["write"]
    )


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
            found += [since, event.boundary] if since and event["begun"] else [event.boundary]
    return found


def plan_schedules(
    spec: JobSpec,
    once: History,
    facts: dict[str, Any],
    jobs: list[int],
    caller: list[Event],
    varied: int = 0,
) -> Plan:
    """Everything that can be planned from the single run; `double_kills` follow from the kills' own
    histories.
    """
    plan = Plan()
    boundaries = points(once)
    kills = kill_points([*boundaries, *callback_points(once)])
    plan.add("redeliver", [Schedule("redeliver", moves=("redeliver",))])
    plan.add("re-enqueue", [Schedule("re-enqueue", moves=("re-enqueue",))])
    clocked = ticks.is_clocked(spec, facts)
    polled = ticks.is_polled(spec, facts)
    cron = spec.trigger is not None and spec.trigger.type == "cron" and spec.enqueue is None
    another = bool(facts.get("ticks")) and (cron or bool(facts.get("daily")))  # on another day
    plan.add("window", [] if another else _windows(spec))
    items = items_of(once) if facts.get("ticks") else {}
    failing = [f"{name}!" if name in items else name for name in _failing(spec, boundaries)]
    plan.add("error", _errors(spec, _failing(spec, boundaries), facts, permanent=False))
    plan.add("exhaustion", _exhaustions(spec, failing, facts))
    plan.add("permanent", _errors(spec, failing, facts, permanent=True))
    plan.add("poison", _poison(spec))
    plan.add("distinct", [Schedule("distinct", moves=(f"job={job}",)) for job in jobs])
    plan.add("distinct", _both_given_up(plan.schedules, jobs, facts))
    plan.add("varied", [Schedule("varied", moves=(f"varied=1-{varied}",))] if varied else [])
    plan.add("distinct-at-once", _distinct_at_once(switch_points(boundaries), jobs, facts), _BESIDE)
    plan.add("same-process", _same_process(plan.schedules, jobs, facts), _SAME)
    plan.add("store-error", _store_errors(boundaries))
    _add_deaths(plan, spec, kills, facts, polled=polled)
    plan.add("at-once", _at_once(switch_points(boundaries)), _AT_ONCE)
    plan.add("stall", _stalls(spec, switch_points(boundaries), clocked))
    plan.add("late-error", _late_errors(spec, plan.schedules))
    plan.add("fresh-interpreter", _fresh(boundaries, facts))
    plan.add("publish-fault", _publish_faults(caller, facts))
    plan.add("before-commit", _before_commit(caller))
    plan.add("dst", [] if polled else dst(spec))
    _name_skipped(plan, spec, kills)
    _name_what_ticks_skip(plan, spec, facts, polled=polled)
    if another:
        plan.skipped["window"] = "a tick of another day is another job"
    return plan


def _poison(spec: JobSpec) -> list[Schedule]:
    poison = spec.proof.poison if spec.proof else ()
    return [Schedule("poison", poison=number) for number in range(len(poison))]


def _add_deaths(
    plan: Plan, spec: JobSpec, kills: list[str], facts: dict[str, Any], *, polled: bool
) -> None:
    """A death at each of the points; where messages may be lost, with and without its own."""
    plan.add("kill", _kills(kills, facts))
    if polled and not facts.get("daily"):
        plan.add("kill", _next_day(spec, polled))
    if facts.get("ticks"):
        # Ticks look for their work: there is no message that could be lost.
        plan.add("kill-lose", [])
        return
    lost = [Schedule("kill-lose", (Fault("kill", at),), ("re-enqueue",), lose=True) for at in kills]
    plan.add("kill-lose", [*lost, *_next_day(spec, polled)])


def _name_what_ticks_skip(
    plan: Plan, spec: JobSpec, facts: dict[str, Any], *, polled: bool
) -> None:
    if polled and dst(spec):
        plan.skipped["dst"] = (
            "a tick looks for its work: one more in the hour that comes twice is as redeliver"
        )
    if facts.get("ticks") and spec.enqueue is None:
        plan.skipped["poison"] = "a tick takes no payload"
    if facts.get("ticks"):
        plan.skipped["kill-lose"] = "no message is lost where ticks look for their work"


def _windows(spec: JobSpec) -> list[Schedule]:
    """Just inside the declared window, and a day later; for ever is taken as longer than any
    receiver remembers.
    """
    dedupe = spec.idempotency.dedupe if spec.idempotency else None
    forgotten = max(
        [30 * DAY_S, *(effect.window * 1.05 for effect in spec.effects or () if effect.window)]
    )
    window = dedupe.window if dedupe and dedupe.window is not None else forgotten
    waits = {min(25 * 3600.0, window * 0.98), window * 0.98}
    return [Schedule("window", moves=(f"wait={int(wait)}", "redeliver")) for wait in sorted(waits)]


def _failing(spec: JobSpec, boundaries: list[Event]) -> list[str]:
    """Names of what can fail: each call of each effect; in a job without effects its first
    write.
    """
    names = [e["name"] for e in boundaries if e["kind"] == "effect" and e["when"] == "before"]
    if names:
        return names
    writes = [
        e["name"]
        for e in boundaries
        if e["kind"] == "sql" and e["verb"] != "select" and e["when"] == "before"
    ]
    return writes[:1]


def can_raise(spec: JobSpec, name: str, error: str, facts: dict[str, Any]) -> bool:
    """Whether an error comes out of what `name` stands for: an adapter's own exceptions come out of
    that adapter alone.

    One of the repository's that the adapter's module has no name for comes from elsewhere, too; a
    library's or a built-in one may come out of any.
    """
    if error in facts.get("foreign_errors", {}).get(name.partition("#")[0], ()):
        return False
    adapters = {effect.name: effect.call.partition(":")[0] for effect in spec.effects or ()}
    home = error.partition(":")[0]
    mine = adapters.get(name.partition("#")[0])
    return mine is None or home not in adapters.values() or home == mine


def _listed(
    errors: tuple[JobError, ...], before: tuple[JobError, ...] = ()
) -> list[tuple[str, int]]:
    """(class, which of the entries with that class); `before`: the entries that are counted
    first.
    """
    names = [error.type for error in (*before, *errors)]
    return [(name, names[:at].count(name)) for at, name in enumerate(names) if at >= len(before)]


def _errors(
    spec: JobSpec, names: list[str], facts: dict[str, Any], *, permanent: bool
) -> Iterator[Schedule]:
    """Each error before each call, and after it: the effect took place and its answer was lost."""
    failures = spec.failures
    if failures is None:
        return
    at_most_once = [
        effect.name for effect in spec.effects or () if effect.guarantee == "at_most_once"
    ]
    listed = (
        _listed(failures.permanent, failures.transient)
        if permanent
        else _listed(failures.transient)
    )
    for error, index in listed:
        for name in (name for name in names if can_raise(spec, name, error, facts)):
            for when in ("before",) if permanent else ("before", "after"):
                at = f"{when}:{name}"
                fault = Fault("raise", at, EVERY if permanent else 1, error, index)
                yield Schedule("permanent" if permanent else "error", (fault,))
                if (
                    when == "after" and name.rpartition("#")[0] in at_most_once
                ):  # also once the job was given up
                    yield Schedule("error", (fault,), ("redeliver",))


def _exhaustions(spec: JobSpec, names: list[str], facts: dict[str, Any]) -> Iterator[Schedule]:
    """An error that does not pass: the job must be given up, after as many attempts as declared."""
    places = list(
        dict.fromkeys(
            name if name.endswith("!") else f"{name.rpartition('#')[0]}#*" for name in names
        )
    )
    jitter = bool(spec.retry and spec.retry.backoff and spec.retry.backoff.jitter)
    for error, index in _listed(spec.failures.transient if spec.failures else ()):
        for name in (name for name in places if can_raise(spec, name, error, facts)):
            fault = Fault("raise", f"before:{name}", EVERY, error, index)
            yield Schedule("exhaustion", (fault,))
            if jitter:
                yield Schedule("exhaustion", (fault,), low_jitter=True)
                jitter = False


def _kills(kills: list[str], facts: dict[str, Any]) -> Iterator[Schedule]:
    yield from (Schedule("kill", (Fault("kill", at),)) for at in kills)
    if facts.get("victims_differ"):
        yield from (Schedule("kill", (Fault("kill-worker", at),)) for at in kills)


def _store_errors(boundaries: list[Event]) -> Iterator[Schedule]:
    """The store is away, or locked, for one commit, or for one write that would have been its own
    commit.
    """
    for event in boundaries:
        if ends_with_connection(str(event["store"])):
            continue
        alone = event["kind"] == "sql" and event["verb"] != "select" and event["open"] is False
        if (event["kind"] == "commit" and event["when"] == "before") or (
            alone and event["when"] == "after"
        ):
            yield Schedule("store-error", (Fault("fail", f"before:{event['name']}"),))


def double_kills(history: History) -> Iterator[Schedule]:
    """A second death in the delivery that follows a first one: its boundaries are its own."""
    first = history.schedule.faults[0]
    for number in range(1, len(history.runs)):
        found = kill_points(points(history, number))
        yield from (Schedule("double-kill", (first, Fault("kill", at, number + 1))) for at in found)
        if found:
            return  # the ticks before it found nothing to do


def failing_kills(history: History) -> Iterator[Schedule]:
    """A death while a job is given up: before its last attempt gets to the error, while its retry
    is published, or its dead letter written.
    """
    met = [n for n, d in enumerate(history.runs) if any(e.kind == "fault" for e in d.events)]
    for number in sorted({met[0], met[-1]} if met else ()):
        events = list(history.runs[number].events)
        after = next(i for i, e in enumerate(events) if e.kind == "fault")
        own = [e for e in events[after:] if e.kind == "at"]
        claimed = number == met[-1] != met[0] and any(
            e.kind == "at" and lasts(e) for e in events[:after]
        )
        before = [str(events[after]["at"])] if claimed else []
        for at in [*before, *kill_points([*own, *callback_points(history, number)])]:
            yield Schedule(
                history.schedule.family, (*history.schedule.faults, Fault("kill", at, number + 1))
            )


def last_chance(history: History) -> Iterator[Schedule]:
    """The error passes just in time: the last attempt succeeds, and the job is not given up."""
    met = [
        (number, str(event["at"]))
        for number, delivery in enumerate(history.runs, 1)
        for event in delivery.all("fault")
        if event["do"] == "raise"
    ]
    every = next((fault for fault in history.schedule.faults if fault.error), None)
    if (
        every is not None
        and len(met) > 1
        and not history.schedule.has_crash
        and not history.schedule.low_jitter
    ):
        yield Schedule(
            "error", tuple(replace(every, at=at, delivery=number) for number, at in met[:-1])
        )


def _next_day(spec: JobSpec, polled: bool) -> Iterator[Schedule]:
    """A key that contains the time is another one when the job is done again on the next day."""
    for effect in spec.effects or ():
        if effect.guarantee == "keyed":
            fault = Fault("kill", f"after:{effect.name}#1")
            if polled:
                yield Schedule("kill", (fault,), midnight=True)
            else:
                yield Schedule(
                    "kill-lose", (fault,), ("wait=5", "re-enqueue"), lose=True, midnight=True
                )


def _at_once(steps: list[str]) -> Iterator[Schedule]:
    """Two deliveries with one and two switches, then three."""
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at),), copies=2)
    for at in steps:
        yield Schedule("at-once", (Fault("switch", at), Fault("switch", at)), copies=3)
    for at in steps:
        for then in steps:
            yield Schedule("at-once", (Fault("switch", at), Fault("switch", then)), copies=2)


def _same_process(
    planned: list[Schedule], jobs: list[int], facts: dict[str, Any]
) -> Iterator[Schedule]:
    """What a worker keeps in memory: a session after an error, a cache, a module's variable.

    The first error at each place, which ends the first job or its first attempt; then another job.
    """
    if not facts.get("same_process"):
        return
    other = (f"job={jobs[0]}",) if jobs else ()
    yield Schedule("same-process", moves=("redeliver", *other), same=True)
    yield from (
        replace(s, family="same-process", same=True) for s in planned if s.family == "window"
    )
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


def _both_given_up(
    planned: list[Schedule], jobs: list[int], facts: dict[str, Any]
) -> Iterator[Schedule]:
    """Two jobs that cannot be done, one after the other: each leaves a dead letter of its own."""
    first = next((schedule for schedule in planned if schedule.family == "permanent"), None)
    if first is not None and jobs and not facts.get("ticks"):
        yield replace(first, family="distinct", moves=(f"job={jobs[0]}",))


def _distinct_at_once(
    steps: list[str], jobs: list[int], facts: dict[str, Any]
) -> Iterator[Schedule]:
    """Two jobs that share something, each between two steps of the other: a lost update."""
    if jobs and not facts.get("ticks"):
        yield from (
            Schedule("distinct-at-once", (Fault("switch", at),), beside=jobs[0]) for at in steps
        )


def _stalls(spec: JobSpec, steps: list[str], clocked: bool) -> Iterator[Schedule]:
    """An hour, or half of the shortest window where that is less: longer than a lock should
    live.
    """
    windows = [effect.window for effect in spec.effects or () if effect.window]
    dedupe = spec.idempotency.dedupe if spec.idempotency else None
    windows += [dedupe.window] if dedupe and dedupe.window else []
    # The tick's own job.
    windows += [ticks.period_s(spec.trigger.schedule) / 3] if clocked and spec.trigger else []
    wait = int(min([3600.0, *(window / 2 for window in windows)]))
    for at in steps:
        yield Schedule("stall", (Fault("stall", at),), (f"wait={wait}", "redeliver"))


def _late_errors(spec: JobSpec, planned: list[Schedule]) -> Iterator[Schedule]:
    """A slow delivery fails when another one has done the job: one transient error of each effect,
    one permanent.
    """
    stalls = {schedule.faults[0].at: schedule for schedule in planned if schedule.family == "stall"}
    seen = set[tuple[str, str]]()
    for schedule in planned:
        first = schedule.faults[0] if schedule.faults else None
        if (
            first is None
            or first.at.rstrip("!") not in stalls
            or schedule.family not in ("error", "permanent")
        ):
            continue
        if (schedule.family, first.at) not in seen:
            seen.add((schedule.family, first.at))
            stall, late = (
                stalls[first.at.rstrip("!")],
                replace(first, at=first.at.rstrip("!"), delivery=1),
            )
            yield replace(stall, family="late-error", faults=(*stall.faults, late))


def _fresh(boundaries: list[Event], facts: dict[str, Any]) -> Iterator[Schedule]:
    """What a death loses by design is published again."""
    lossy = bool(facts.get("lossy"))
    yield Schedule("fresh-interpreter", moves=("redeliver",), fresh=True)
    effects = [e.boundary for e in boundaries if e["kind"] == "effect" and e["when"] == "after"]
    for at in effects:
        if at:
            again = ("re-enqueue",) if lossy else ()
            yield Schedule("fresh-interpreter", (Fault("kill", at),), again, lose=lossy, fresh=True)


def _publish_faults(caller: list[Event], facts: dict[str, Any]) -> Iterator[Schedule]:
    """The publisher dies, or the broker is away; then the application tries again."""
    for event in caller:
        if event["kind"] == "publish" and event.boundary:
            yield Schedule("publish-fault", (Fault("caller-kill", event.boundary),))
            if event["when"] == "before":
                error = facts.get("broker_error", "ConnectionError")
                yield Schedule(
                    "publish-fault", (Fault("caller-raise", event.boundary, error=error),)
                )
        elif event["kind"] == "commit" and event.boundary:
            yield Schedule("publish-fault", (Fault("caller-kill", event.boundary),))


def _before_commit(caller: list[Event]) -> Iterator[Schedule]:
    for event in caller:
        if event["kind"] == "publish" and event["when"] == "after" and event.boundary:
            yield Schedule("before-commit", (Fault("caller-pause", event.boundary),))


def dst(spec: JobSpec) -> list[Schedule]:
    """The two ticks of a daily time in the hour that comes twice when clocks are turned back."""
    trigger = spec.trigger
    if trigger is None or trigger.type != "cron":
        return []
    twice = ticks.fires_twice(trigger.schedule, trigger.timezone)
    return [Schedule("dst", moves=tuple(f"tick={int(at)}" for at in twice))] if twice else []


def _why_not_varied(spec: JobSpec) -> str:
    keyed = any(effect.key_arg for effect in spec.effects or ())
    if not keyed or spec.idempotency is None or spec.idempotency.strategy != "keyed":
        return "no keyed effect could tell such payloads apart"
    return NOT_VARIED


def _name_skipped(plan: Plan, spec: JobSpec, kills: list[str]) -> None:
    """Each family that has no schedule, and why."""
    present = {schedule.family for schedule in plan.schedules}
    errors = spec.failures
    reasons = {
        "error": (
            "no transient error is declared"
            if not (errors and errors.transient)
            else "nothing in it can fail"
        ),
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
