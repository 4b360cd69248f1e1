"""The whole proof of one job, in order: set up, single run, plan, schedules, judges, verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.explorer import Explorer, NotPublished
from skillrun.proof.families import (
    MOST,
    Plan,
    double_kills,
    failing_kills,
    last_chance,
    plan_schedules,
)
from skillrun.proof.given import check_given, check_key, unreached
from skillrun.proof.history import Delivery, History
from skillrun.proof.jobs import DIRECT, POISON, payloads_of
from skillrun.proof.judges import logs
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unknowns import merge_undeclared
from skillrun.proof.reference import INCOMPLETE, REFUTED, Judgement, Reference, was_met
from skillrun.proof.result import RERUNS, OnProgress, Proof, Target, Tried, Witness
from skillrun.proof.schedule import ONCE, Schedule, parse_schedule
from skillrun.proof.setting import Setting
from skillrun.proof.single import reference_of, single_run_problem
from skillrun.proof.varied import VARIED, varied_payloads
from skillrun.proof.witnesses import choose, log_witnesses, unstable
from skillrun.proof.world import world_judgements

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec


def prove(
    target: Target,
    *,
    only: str | None = None,
    progress: OnProgress | None = None,
    workers: int = 2,
    stop_early: bool = False,
) -> Proof:
    """Runs every schedule (or `only` the given one) and judges. Raises SkillrunError where nothing
    could run.

    `stop_early`: the first refutation is enough; what was not tried is then not known.

    The same spec, code and machine give the same schedules in the same order, and so the same first
    witness.
    """
    begun = time.monotonic()
    check_key(target.spec)
    with _Session(target, progress or (lambda what, done, of: None), workers) as session:
        session.stop_early = stop_early
        try:
            proof = session.go(parse_schedule(only) if only else None)
        except NotPublished as error:
            if error.unfit is None or error.job != 0:
                raise
            proof = _never_published(error.unfit, error.why)
    proof.duration_ms = int((time.monotonic() - begun) * 1000)
    return proof


def _never_published(delivery: Delivery, why: str) -> Proof:
    """The application's own call fails without any fault: its arguments are no message."""
    want = "plain values: ids, not objects"
    judgement = Judgement(
        REFUTED, "payload.not-serialisable", f"the job is never published: {why}", expected=want
    )
    tried = Tried(ONCE, History(ONCE, (delivery,)), (judgement,))
    return Proof("refuted", [tried], [Witness(tried, judgement, RERUNS)])


def look(target: Target, *, progress: OnProgress | None = None) -> Proof:
    """The single run and the plan that follows from it; no schedule is run. `verdict` is
    "incomplete".
    """
    with _Session(target, progress or (lambda what, done, of: None), workers=1) as session:
        return session.look()


class _Session:
    """The settings of one proof, and what they have found so far."""

    def __init__(self, target: Target, progress: OnProgress, workers: int) -> None:
        self.target, self.progress, self.workers = target, progress, workers
        self.stop_early = False
        self.refuted = False
        self.settings: list[Setting] = []
        self.explorers: list[Explorer] = []
        # A zygote's watcher ends with the thread that started it (prctl PDEATHSIG): these live as
        # long as the session.
        self.threads = ThreadPoolExecutor(max_workers=max(workers - 1, 1))
        self.others: list[Future[Explorer]] = []
        self.beside: list[Future[None]] = []
        self.problems: list[Judgement] = []
        self.tried: dict[Schedule, Tried] = {}
        self.only: Schedule | None = None
        self.varied: Tried | None = None

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leaves nothing behind; where the proof was interrupted, the other threads end first."""
        if kind is not None:
            for setting in self.settings:
                setting.abandon()
        self.threads.shutdown(wait=False, cancel_futures=True)
        for future in self.beside:
            future.cancel()
        running: list[Future[Any]] = [*self.others, *self.beside]
        wait(running)
        for setting in self.settings:
            setting.close()
        self.threads.shutdown()

    def go(self, only: Schedule | None) -> Proof:
        self.payloads, self.only = payloads_of(self.target.spec), only
        if only is None or only.varied:
            self.payloads |= varied_payloads(self.target.spec)
        if only is not None:
            check_given(only, self.target.spec, self.payloads)
        first: Future[Explorer] = Future()
        if only is None:
            self.others = [
                self.threads.submit(self._explorer, first) for _ in range(1, self.workers)
            ]
        try:
            first.set_result(self._explorer())
        except BaseException as error:
            first.set_exception(error)
            raise
        self._find_out(first.result())
        if self.problems_fatal():
            return self._conclude(Plan())
        plan = self._plan(first.result())
        if only is not None:
            plan = Plan([only])
        self._spread(plan.schedules)
        if only is None and not (self.stop_early and self.refuted):
            self._second_phase(plan)
        return self._conclude(plan)

    def look(self) -> Proof:
        """As `go`, up to the plan."""
        self.payloads = payloads_of(self.target.spec) | varied_payloads(self.target.spec)
        first = self._explorer()
        self._find_out(first)
        plan = self._plan(first)
        return Proof(
            "incomplete",
            list(self.tried.values()),
            [],
            list(self.problems),
            plan,
            self.reference,
            facts=first.facts,
        )

    def _find_out(self, first: Explorer) -> None:
        """The single runs, and whether they can be compared with."""
        self.explorers.append(first)
        self.reference, singles = reference_of(first, self.target.spec)
        for history in singles:
            self._keep(history, self.reference)
        self._single_run_is_sound()

    # -- the beginning

    def _explorer(self, first: Future[Explorer] | None = None) -> Explorer:
        """A setting of its own; all but the first take over the first one's messages."""
        target = self.target
        setting = Setting(target.spec, target.root, target.driver, target.paths)
        self.settings.append(setting)
        self.progress("setting up", 0, 0)
        setting.start_servers()
        setting.set_up()
        explorer = Explorer(setting, limit=_limit(target.spec))
        if first is None:
            explorer.begin(self.payloads)
        else:
            setting.zygote()
            explorer.begin_as(first.result())
        return explorer

    def _single_run_is_sound(self) -> None:
        """What is wrong with the single run becomes a problem."""
        problem = single_run_problem(self.reference)
        if problem:
            self.problems.append(Judgement(INCOMPLETE, "single-run", problem))
        elif self.target.spec.enqueue is not None and self._other_arguments():
            said = "enqueue.args publishes another job than the first of payload.examples"
            self.problems.append(Judgement(INCOMPLETE, "enqueue.other-job", said))

    def _other_arguments(self) -> bool:
        """Whether the application's call publishes other arguments than the first example has."""
        messages = self.explorers[0].origin.messages
        mine, direct = messages[0].get("arguments"), messages.get(DIRECT, {}).get("arguments")
        return mine is not None and direct is not None and mine != direct

    def _plan(self, explorer: Explorer) -> Plan:
        caller = [e for e in explorer.caller.events if e.kind == "at"] if explorer.caller else []
        plan = plan_schedules(
            self.target.spec,
            self.reference.once,
            {**explorer.facts, "daily": explorer.daily},
            sorted(self.reference.jobs),
            caller,
            self._count_varied(explorer),
        )
        unpublished = {POISON - job for job in explorer.unpublished if job < 0}
        for job, why in explorer.unpublished.items():
            self.problems.append(
                Judgement(INCOMPLETE, "not-published", f"{_job_words(job)}: {why}")
            )
        refused = {POISON - job for job in explorer.refused}
        plan.schedules = [
            s for s in plan.schedules if s.poison is None or s.poison not in unpublished | refused
        ]
        if refused and not any(s.poison is not None for s in plan.schedules):
            plan.skipped["poison"] = "the application itself refuses every poison payload"
        return plan

    def _count_varied(self, explorer: Explorer) -> int:
        """How many varied payloads there are; none where no keyed effect could tell them apart."""
        keyed = any(effect.key_arg for effect in self.reference.effects)
        strategy = self.target.spec.idempotency.strategy if self.target.spec.idempotency else None
        if not keyed or strategy != "keyed":
            return 0
        return max(
            (job - VARIED + 1 for job in explorer.origin.messages if job >= VARIED), default=0
        )

    # -- running

    def _spread(self, schedules: list[Schedule]) -> None:
        """Runs schedules on all workers; each takes the next one."""
        waiting = [schedule for schedule in dict.fromkeys(schedules) if schedule not in self.tried]
        if not waiting:
            return
        queue, lock, failed = iter(waiting), threading.Lock(), list[BaseException]()
        total, done = len(self.tried) + len(waiting), [len(self.tried)]

        def work(explorer: Explorer) -> None:
            try:
                while not failed and not (self.stop_early and self.refuted):
                    with lock:
                        schedule = next(queue, None)
                    if schedule is None:
                        return
                    history, reference = self._run(explorer, schedule)
                    with lock:
                        self._keep(history, reference)
                        done[0] += 1
                        self.progress(schedule.family, done[0], total)
            except BaseException as error:
                failed.append(error)
                raise

        self.beside = [
            self.threads.submit(lambda found: work(found.result()), other) for other in self.others
        ]
        work(self.explorers[0])
        for thread in self.beside:
            thread.result()

    def _run(self, explorer: Explorer, schedule: Schedule) -> tuple[History, Reference]:
        """A schedule's history, and what it is compared with."""
        explorer.orders.items = self.explorers[0].orders.items
        explorer.set_daily(self.explorers[0].daily)
        history = explorer.run(schedule)
        apart = explorer.run(schedule.apart) if schedule.same else None
        return history, replace(self.reference, apart=apart)

    def _keep(self, history: History, reference: Reference) -> None:
        judgements = judge_history(history, reference)
        if history.schedule.family == "varied":
            self.varied = Tried(history.schedule, history, judgements)
            return
        self.tried[history.schedule] = Tried(history.schedule, history, judgements)
        self.refuted = self.refuted or (
            was_met(history) and any(j.verdict == REFUTED for j in judgements)
        )

    def _second_phase(self, plan: Plan) -> None:
        """Second deaths, at the boundaries that the deliveries after a first one really had."""
        room = MOST - len(self.tried)
        singles = [
            t.history
            for s, t in self.tried.items()
            if s.family == "kill" and s.faults[0].do == "kill"
        ]
        pairs = [schedule for history in singles for schedule in double_kills(history)]
        ends = [
            schedule
            for s, t in list(self.tried.items())
            if s.family in ("exhaustion", "permanent")
            for schedule in failing_kills(t.history)
        ]
        exhausted = [t.history for s, t in self.tried.items() if s.family == "exhaustion"]
        later = Plan()
        later.add("error", [schedule for history in exhausted for schedule in last_chance(history)])
        later.add("kill while giving up", ends, max(room // 2, 0))
        later.add("double-kill", pairs, max(room - len(later.schedules), 0))
        plan.schedules += later.schedules
        plan.cut |= later.cut
        if not pairs:
            plan.skipped["double-kill"] = "no delivery followed a death"
        self._spread(later.schedules)

    # -- the end

    def _conclude(self, plan: Plan) -> Proof:
        tried = list(self.tried.values())
        histories = [item.history for item in tried]
        found = logs.answers(histories, self.reference, self.payloads)
        self.problems += world_judgements(self.target, self.reference, histories, self.explorers[0])
        shown = [*tried, self._narrowed(self.varied)] if self.varied else tried
        witnesses = [
            self._witness(candidates) for candidates in choose(shown, fatal=self.problems_fatal())
        ]
        self.problems += [unstable(witness) for witness in witnesses if not witness.again]
        witnesses = [witness for witness in witnesses if witness.again]
        if self.only is None and not self.problems_fatal():  # logs are compared over all schedules
            witnesses += log_witnesses(found, tried)
        if self.only in self.tried:
            self.problems += unreached(self.tried[self.only].history)
        incomplete = self.problems + [
            j for t in shown for j in t.judgements if j.verdict == INCOMPLETE
        ]
        verdict = "refuted" if witnesses else "incomplete" if incomplete else "proved"
        explorers = (*self.explorers, *(other.result() for other in self.others))
        modules = tuple(
            sorted(set().union(*(explorer.processes.modules for explorer in explorers)))
        )
        return Proof(
            verdict,
            tried,
            witnesses,
            merge_undeclared(_distinct(incomplete)),
            plan,
            self.reference,
            found,
            self.explorers[0].facts,
            modules,
            self.settings[0].sandbox.walls,
            varied=self.varied,
        )

    def _narrowed(self, varied: Tried) -> Tried:
        """With no more payloads than the two that share a key, where these show it by
        themselves.
        """
        found = next((j for j in varied.judgements if j.verdict == REFUTED), None)
        if found is None:
            return varied
        calls = [event for event in varied.history.performed() if event.number in found.events]
        jobs = [varied.history.delivery_of(call).job for call in calls]
        numbers = ",".join(str(job - VARIED + 1) for job in jobs if job >= VARIED)
        schedule = Schedule("varied", moves=(f"varied={numbers}",))
        history = self.explorers[0].run(schedule)
        judgements = judge_history(history, self.reference)
        again = any(j.rule == found.rule and j.verdict == REFUTED for j in judgements)
        return Tried(schedule, history, judgements) if again else varied

    def problems_fatal(self) -> bool:
        """Whether the single run itself could not be used."""
        return any(problem.rule in ("single-run", "enqueue.other-job") for problem in self.problems)

    def _witness(self, candidates: list[tuple[Tried, Judgement]]) -> Witness:
        """The first that comes again each time, else the one that came most often."""
        best: Witness | None = None
        for item, judgement in candidates:
            found = self._again(item, judgement)
            if best is None or found.again > best.again:
                best = found
            if found.stable:
                break
        assert best is not None
        return best

    def _again(self, item: Tried, judgement: Judgement) -> Witness:
        again = 0
        for _ in range(RERUNS):
            found = judge_history(*self._run(self.explorers[0], item.schedule))
            again += any(j.rule == judgement.rule and j.verdict == REFUTED for j in found)
        return Witness(item, judgement, again)


def _limit(spec: JobSpec) -> int:
    """Deliveries of one schedule after which a job counts as unbounded."""
    retry = spec.retry
    most = (retry.max_attempts or 1) if retry and retry.kind != "none" else 1
    return most * 2 + 6


def _job_words(job: int) -> str:
    return f"proof.poison[{POISON - job}]" if job < 0 else f"payload.examples[{job}]"


def _distinct(judgements: Iterable[Judgement]) -> list[Judgement]:
    return list({(j.rule, j.message): j for j in judgements}.values())
