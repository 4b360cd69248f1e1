"""Schedules of a job without a verdict: for whoever lists them, or compares two sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.proof.before_call import list_tables_of
from skillrun.proof.broker import list_sweeps
from skillrun.proof.changed_rows import list_worlds
from skillrun.proof.explorer import Explorer
from skillrun.proof.families.deaths import kill
from skillrun.proof.families.errors import list_ends_in_failure
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.jobs import payloads_of
from skillrun.proof.judgement import Verdict
from skillrun.proof.planning import make_plan
from skillrun.proof.result import OnProgress, Proof, Target
from skillrun.proof.same_job import name_job
from skillrun.proof.schedule import LATE_SWEEP, ONCE, Schedule, parse_schedule
from skillrun.proof.session import Session, be_silent
from skillrun.proof.varied import varied_payloads
from skillrun.proof.worlds import BEGUN, DONE, FEWER_ROWS, GIVEN_UP, MORE_ROWS, World

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# What one call of a sweep may report: a machine with much else to do takes some five hundred
# events a second, and a delivery has 20 seconds. By a clock, the two sides would have other rows.
_MOST_EVENTS = 10_000
# The application's own call, within the schedule.
_CALLED = parse_schedule("called=0")
_DAY_S = 24 * 3600
# Older than any limit that is said in days.
_MONTH_S = 29 * _DAY_S
# The clock begins at any day: what is due by a date comes into its window in some of them.
_DAYS = (0, 1, 8, 31, 100)
MOMENTS = (*((True, days) for days in _DAYS), *((False, days) for days in _DAYS))
"""(over the rows before the call of `enqueue`, days later): when a publisher is called."""


@dataclass(frozen=True)
class Published:
    """The jobs that one call has published, by their keys; `problem`: why these are perhaps not all
    of them.
    """

    jobs: frozenset[str] = frozenset()
    problem: str | None = None
    is_endless: bool = False  # that is the problem


def look(target: Target, *, progress: OnProgress | None = None) -> Proof:
    """Runs the job once by itself, and plans its schedules without running them. The proof that is
    returned is incomplete.
    """
    with Session(target, progress or be_silent, workers=1) as session:
        session.payloads = payloads_of(target.spec) | varied_payloads(target.spec)
        first = session.set_up_explorer()
        session.learn_single_run(first)
        plan = make_plan(session, first)
        return Proof(
            Verdict.INCOMPLETE,
            list(session.tried.values()),
            incomplete=list(session.problems),
            plan=plan,
            reference=session.reference,
            facts=first.facts,
        )


def observe(
    target: Target, schedules: Iterable[str], *, progress: OnProgress | None = None
) -> list[History]:
    """Runs some schedules, and returns what happened in them, in the same order and without a
    verdict. Raises SkillrunError where nothing could run.
    """
    with Session(target, progress or be_silent, workers=1) as session:
        explorer = session.set_up_explorer()
        return [explorer.run(parse_schedule(text)) for text in schedules]


def observe_worlds(target: Target) -> dict[str, list[History]]:
    """World -> what a few schedules come to there: the single run, each effect's real call, the
    ends in failure, and the sweeps. "": with the rows that the setup makes. The sweeps come over
    fewer rows first, and over as many as they end with. Raises SkillrunError where nothing could
    run.
    """
    with Session(target, be_silent, workers=1) as session:
        return _explore_worlds(session.set_up_explorer(), target.spec)


def _explore_worlds(explorer: Explorer, spec: JobSpec) -> dict[str, list[History]]:
    """World -> its histories, see `observe_worlds`."""
    once = explorer.run(ONCE)
    # A sweep that does its effects itself does those of all other rows, too: by the single run they
    # are told from the job's own.
    explorer.keep_learned(replace(explorer.learned, once=once))
    situation = Situation(spec, once, explorer.facts)
    schedules = [ONCE, *_list_real_calls(spec)]
    if spec.enqueue is not None and not explorer.facts.ticks:
        # What the application's call writes of its rows, an amount say, stands there already
        # where the other rows come behind it.
        schedules.append(_CALLED)
    ends = list_ends_in_failure(situation)
    swept = _list_swept(situation)
    # A sweep goes by rows that were there before, too: an order that is sent by now.
    for kind, leaving in ((DONE, [ONCE]), (GIVEN_UP, ends)):
        explorer.learn_left(kind, leaving, with_changed=bool(swept))
    older = [replace(one, moves=(f"wait={_MONTH_S}", *one.moves)) for one in swept]
    plain = (*schedules, *ends, *swept, *older)
    found = {"": [explorer.run(schedule) for schedule in plain]}
    sent, read = _read_sent(found[""]), list_tables_of(once.events)
    begun = [replace(schedule, moves=()) for schedule in swept]
    explorer.learn_left(BEGUN, begun, with_changed=True)
    explorer.workplace.restore()
    worlds = list_worlds(explorer.store, spec, sent, read)
    for world in worlds:
        asked = list(schedules)
        if not world.column:
            # Where a column has another value, who fails does so all the same.
            asked += ends
        found[str(world)] = _run_in(explorer, world, asked)
        if not world.column:
            _let_sweeps_come(explorer, world, swept, found)
    if worlds and explorer.left[BEGUN]:
        found[BEGUN] = _run_in(explorer, World(BEGUN), [ONCE])
        _let_sweeps_come(explorer, World(BEGUN), swept, found)
    return found


def _run_in(explorer: Explorer, world: World, schedules: Iterable[Schedule]) -> list[History]:
    return [explorer.run(replace(one, world=world)) for one in schedules]


def _let_sweeps_come(
    explorer: Explorer, world: World, swept: list[Schedule], found: dict[str, list[History]]
) -> None:
    """Adds to `found` what the sweeps come to over fewer rows of a kind, and over as many as they
    probably end with, by what they did for each of the fewer.
    """
    if not swept:
        return
    few = replace(world, rows=FEWER_ROWS)
    found[str(few)] = _run_in(explorer, few, swept)
    base = max(map(_count_sweeping, filter(_is_swept, found[""])), default=0)
    most = max(map(_count_sweeping, found[str(few)]))
    rows = choose_rows(base, most)
    if rows > FEWER_ROWS:
        many = replace(world, rows=rows)
        found.setdefault(str(many), []).extend(_run_in(explorer, many, swept))


def observe_publishers(target: Target, calls: Iterable[str]) -> dict[str, list[Published]]:
    """Call -> what it publishes for the job at each of `MOMENTS`, in their order. A call that does
    not end is not made again. Raises SkillrunError where nothing could run.
    """
    with Session(target, be_silent, workers=1) as session:
        explorer = session.set_up_explorer()
        found: dict[str, list[Published]] = {}
        for call in calls:
            made = found.setdefault(call, [])
            for is_first, days in MOMENTS:
                made.append(_publish_by(explorer, target.spec, call, days, is_first=is_first))
                if made[-1].is_endless:
                    break
        return found


def _publish_by(
    explorer: Explorer, spec: JobSpec, call: str, days: int, *, is_first: bool
) -> Published:
    arguments = None
    if spec.enqueue is not None and spec.enqueue.call == call:
        arguments = spec.enqueue.args
    late_s = days * _DAY_S
    deliveries, has_ended = explorer.call_publisher(call, arguments, late_s, is_first=is_first)
    key = spec.idempotency.key if spec.idempotency is not None else ()
    jobs = set[str]()
    problem = None
    for delivery in deliveries:
        # What was published before it failed is published.
        jobs.update(name_job(event["message"] or {}, key) for event in delivery.sent_to_handler)
        failed = delivery.first("caller-raised") or delivery.first("probe-error")
        if failed is not None and problem is None:
            problem = f"it fails: {failed['error']}"
    if not has_ended:
        problem = "it does not end within a delivery's time"
    return Published(frozenset(jobs), problem, is_endless=not has_ended)


def choose_rows(events: int, events_with_fewer: int) -> int:
    """How many rows a sweep ends with: MORE_ROWS, halved until it would report no more than a slow
    machine has time for. `events`: with the example's own rows.
    """
    of_each_row = max(events_with_fewer - events, 0) / FEWER_ROWS
    rows = MORE_ROWS
    while rows > FEWER_ROWS and events + rows * of_each_row > _MOST_EVENTS:
        rows //= 2
    return rows


def _count_sweeping(history: History) -> int:
    """How many events the sweeps of a schedule have reported."""
    return sum(len(one.events) for one in history.deliveries if one.op == "recover")


def _is_swept(history: History) -> bool:
    return LATE_SWEEP in history.schedule.moves


def _list_swept(situation: Situation) -> list[Schedule]:
    """A job dies before its first effect, its message is lost, and each sweep comes once, a day
    later. None where there is no sweep and no relay, or where a clock looks for work by itself:
    then the single run is a look, or where the message itself is a row, which no death loses.
    """
    if situation.polled or situation.facts.keeps_rows:
        return []
    if not list_sweeps(situation.spec, relay=True):
        return []
    effects = {effect.name for effect in situation.effects}
    for schedule in kill.plan(situation, ()):
        when, _, place = schedule.faults[0].at.partition(":")
        is_at_effect = when == "before" and place.partition("#")[0] in effects
        if schedule.does == {"kill"} and is_at_effect:
            return [Schedule("kill-lose", schedule.faults, (LATE_SWEEP,), lose=True)]
    return []


def _list_real_calls(spec: JobSpec) -> Iterator[Schedule]:
    """Yields a schedule for each effect that has a stand-in: its real call is made, to a receiver
    that writes down what it is sent.
    """
    for effect in spec.effects or ():
        if effect.mode != "pass_through":
            yield parse_schedule(f"answer=200@before:{effect.name}#1 listen")


def _read_sent(histories: Iterable[History]) -> str:
    """All that the effects of some schedules were called with, and what their real calls sent."""
    told: list[str] = []
    for history in histories:
        told += [str(call["args"]) for call in history.performed()]
        for event in history.all("heard"):
            told += map(str, event["sent"])
    return "\n".join(told)
