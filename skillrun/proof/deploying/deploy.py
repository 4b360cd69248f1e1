"""HEAD's handler over what the base's has left: rows, messages, and what receivers were told.

Both stand in one place, with one database and one broker. The base delivers, dies or fails; the
repository's own migrations run over its store; whatever comes then is HEAD's, and the ordinary
judges look at all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import RiskGrade
from skillrun.proof.deploying.migrating import (
    Migration,
    choose_migration,
    find_missing,
    read_layout,
)
from skillrun.proof.deploying.plan import plan_deploys
from skillrun.proof.explorer import Explorer
from skillrun.proof.exploring.run import NotPublished, Run
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.jobs import payloads_of
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference
from skillrun.proof.result import Target
from skillrun.proof.sandbox.visible import find_interpreter
from skillrun.proof.schedule import Schedule
from skillrun.proof.session import limit_deliveries
from skillrun.proof.single import find_single_run_problem, run_singles
from skillrun.proof.workplace import Workplace

# What is held against a deploy. Texts, waits, logs and numbers of attempts are each side's own.
_HELD = frozenset(
    (
        "effect.lost",
        "effect.others-lost",
        "effect.repeated",
        "effect.other-key",
        "effect.no-key",
        "state.differs",
        "state.distinct-job",
        "attempts.unbounded",
        "dead-letter.unexpected",
        "dead-letter.after-death",
        "dead-letter.missing",
    )
)
# Risks of which the base has none. After its window a receiver does again what it has forgotten.
_HELD_RISKS = frozenset(("window-passed",))
_SERIOUS = (RiskGrade.MONEY, RiskGrade.LOST)
_MIGRATION = "deploy.migration-fails"
_GIVEN_UP = "deploy.given-up"


@dataclass(frozen=True)
class Broken:
    """What came of one schedule, seen twice, and not where the base goes on by itself."""

    schedule: Schedule
    judgement: Judgement


@dataclass(frozen=True)
class Deploys:
    """`untried`: why nothing could be tried. `missing`: tables and columns of HEAD's that the
    migration has not brought. After the first that is `broken` no more is tried.
    """

    tried: tuple[Schedule, ...] = ()
    broken: Broken | None = None
    left_out: int = 0
    migration: Migration = field(default_factory=lambda: Migration(None))
    missing: tuple[str, ...] = ()
    untried: str | None = None


@dataclass(frozen=True)
class _Side:
    explorer: Explorer
    reference: Reference


def try_deploys(before: Target, after: Target) -> Deploys:
    """Raises nothing of a repository's: what cannot be run is `untried`."""
    try:
        with contextlib.ExitStack() as stack:
            return _Deploying(stack, before, after).try_all()
    except NotPublished as error:
        return Deploys(untried=error.why)
    except SkillrunError as error:
        return Deploys(untried=error.message)


class _Deploying:
    """Three workplaces: HEAD's own, the base's, and HEAD's in the place of the base's."""

    def __init__(self, stack: contextlib.ExitStack, before: Target, after: Target) -> None:
        self.stack = stack
        self.own = self._set_up(after)
        self.old = self._set_up(before, beside=_list_seen(after))
        self.heir = self._take_over(after)
        self.migration = Migration(None)

    def _set_up(self, target: Target, beside: Iterable[Path] = ()) -> _Side:
        workplace = Workplace(
            target.spec, target.root, target.driver, target.paths, beside=tuple(beside)
        )
        self.stack.enter_context(workplace)
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace, limit=limit_deliveries(target.spec))
        explorer.begin(payloads_of(target.spec))
        reference, _ = run_singles(explorer, target.spec)
        return _Side(explorer, reference)

    def _take_over(self, after: Target) -> Heir:
        theirs = self.old.explorer.workplace
        workplace = Workplace(
            after.spec,
            after.root,
            after.driver,
            after.paths,
            folders=theirs.folders,
            servers=theirs.servers,
            urls=theirs.urls,
        )
        workplace.share_sandbox(theirs)
        self.stack.callback(workplace.stop_zygotes)
        heir = Heir(workplace, limit=limit_deliveries(after.spec))
        heir.take_over(self.old.explorer, self.own.explorer)
        return heir

    def try_all(self) -> Deploys:
        for side in (self.old, self.own):
            problem = find_single_run_problem(side.reference)
            if problem is not None:
                return Deploys(untried=problem)
        old, own = self.old.explorer, self.own.explorer
        self.migration = choose_migration(own, old)
        missing = self._find_missing()
        if missing and self.migration.command is None:
            said = f"{', '.join(missing)}: no command is known that brings it: "
            return Deploys(untried=said + self.migration.why, missing=missing)
        theirs, mine = old.workplace.spec, own.workplace.spec
        situation = Situation(theirs, self.old.reference.once, old.facts)
        plan = plan_deploys(
            situation,
            fail_alike=theirs.failures == mine.failures,
            others=self._choose_other_jobs(),
        )
        tried = []
        broken = None
        for schedule in plan.schedules:
            tried.append(schedule)
            broken = self._try_schedule(schedule)
            if broken is not None:
                break
        return Deploys(tuple(tried), broken, plan.left_out, self.migration, missing)

    def _choose_other_jobs(self) -> dict[int, Situation]:
        """The further examples' jobs that both sides run by themselves; those first whose single
        run comes by the most places where the first example's does not.
        """
        old, own = self.old, self.own
        if old.explorer.facts.ticks:
            return {}  # a tick looks for whatever there is
        plain = Situation(old.explorer.workplace.spec, old.reference.once, old.explorer.facts)
        found: dict[int, Situation] = {}
        for job in old.reference.jobs.keys() & own.reference.jobs.keys():
            if old.explorer.payloads[job] == own.explorer.payloads[job]:
                found[job] = replace(plain, once=old.reference.jobs[job])
        usual = {event.boundary for event in plain.boundaries}

        def count_unusual(job: int) -> int:
            return len({event.boundary for event in found[job].boundaries} ^ usual)

        ranked = sorted(found, key=lambda job: (-count_unusual(job), job))
        return {job: found[job] for job in ranked}

    def _find_missing(self) -> tuple[str, ...]:
        """Of HEAD's tables in the base's store, once that is migrated."""
        own, old = self.own.explorer, self.old.explorer
        own.workplace.restore()
        wanted = read_layout(own.store)
        old.workplace.restore()
        if self.migration.command is not None:
            self.heir.workplace.run_line(self.migration.command)
        found = find_missing(wanted, read_layout(self.heir.store))
        old.workplace.restore()
        return tuple(found)

    # -- one schedule

    def _try_schedule(self, schedule: Schedule) -> Broken | None:
        found = self._judge(schedule)
        if not found:
            return None
        alone = self._judge_base(replace(schedule, deploy=None))
        again = {judgement.rule for judgement in self._judge(schedule)}
        for judgement in found:
            if judgement.rule in again and judgement.rule not in alone:
                return Broken(schedule, judgement)
        return None

    def _judge(self, schedule: Schedule) -> list[Judgement]:
        """What is held against HEAD by its own promises and by the base's."""
        history = self._run_across(schedule)
        if isinstance(history, Judgement):
            return [history]
        as_base = _list_held(history, self._compare_with(self.old))
        known = {(judgement.rule, judgement.effect) for judgement in as_base}
        found = list(_find_given_up(history, self.own.reference))
        for judgement in _list_held(history, self._compare_with(self.own)):
            if (judgement.rule, judgement.effect) in known:
                found.append(judgement)
        return found

    def _judge_base(self, schedule: Schedule) -> set[str]:
        """The rules of what the base comes to where it goes on by itself."""
        history = self.old.explorer.run(schedule)
        held = [*_find_given_up(history, self.old.reference)]
        held += _list_held(history, self.old.reference)
        return {one.rule for one in held}

    def _compare_with(self, side: _Side) -> Reference:
        """A side's single runs, without the state that the other one's leave otherwise."""
        mine, theirs = self.own.reference, self.old.reference
        other = {
            name for name, rows in mine.once.state.items() if theirs.once.state.get(name) != rows
        }
        return replace(side.reference, volatile=mine.volatile | theirs.volatile | other)

    def _run_across(self, schedule: Schedule) -> History | Judgement:
        """A judgement where the migration fails over what the base left."""
        old = self.old.explorer
        run = old.begin_schedule(schedule, until=schedule.deploy)
        old.processes.end_schedule()
        if self.migration.command is not None:
            done = self.heir.workplace.run_line(self.migration.command)
            if not done.ok:
                last = next(iter(reversed(done.tail.strip().splitlines())), done.words)
                said = f"{self.migration.command} fails over what the base left: {last}"
                return Judgement(Verdict.REFUTED, _MIGRATION, said)
        return self.heir.go_on(run, old)


class Heir(Explorer):
    """Goes on where another commit's explorer has stopped."""

    def take_over(self, old: Explorer, own: Explorer) -> None:
        """`old`: whose messages and place they are; `own`: the same commit's in a place of its
        own.
        """
        self._boot_workplace(old.payloads)
        self.origin, self.caller = old.origin, old.caller
        self.unpublished, self.refused = old.unpublished, old.refused
        self.base, self.daily = old.base, old.daily
        self._learn_from_message(self.origin.messages.get(0, {}))
        self.keep_learned(own.learned)

    def go_on(self, run: Run, old: Explorer) -> History:
        """To the end of a schedule that `old` has begun."""
        self.processes.number = old.processes.number
        run.until = None
        self._drain_queue(run)
        return self.finish_schedule(run)


def _list_held(history: History, reference: Reference) -> list[Judgement]:
    found = []
    for judgement in judge_history(history, reference):
        is_refuted = judgement.verdict == Verdict.REFUTED and judgement.rule in _HELD
        is_risk = judgement.verdict == Verdict.RISK and judgement.rule in _HELD_RISKS
        if is_refuted or (is_risk and judgement.grade in _SERIOUS):
            found.append(judgement)
    return found


def _find_given_up(history: History, reference: Reference) -> Iterator[Judgement]:
    """Yields a judgement where the job is given up though nothing but its worker has failed. A
    proof excuses that with the attempts that were made: what HEAD raises over what the base left
    uses them up.
    """
    before, now = reference.once.dead_letters or 0, history.dead_letters or 0
    if history.schedule.does - {"kill"} or now <= before:
        return
    said = "the job is given up, though nothing but its worker has failed"
    for run in history.runs:
        if run.raised is not None:
            said += f": {run.raised['error']}"
            break
    yield Judgement(Verdict.REFUTED, _GIVEN_UP, said, None, (), str(before), str(now))


def _list_seen(target: Target) -> Iterator[Path]:
    """What HEAD's processes need to see."""
    from skillrun.proof.packages import find_python

    yield target.root
    named = target.spec.proof.python if target.spec.proof else None
    yield from find_interpreter(find_python(target.root, named), target.root)
