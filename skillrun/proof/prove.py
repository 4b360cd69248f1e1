"""The whole proof of one job, in order: set up, single run, plan, schedules, judges, verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.errors import Misuse
from skillrun.proof.explorer import POISON, Explorer, NotPublished
from skillrun.proof.families import Plan, double_kills, dst, failing_kills, last_chance, plan_schedules
from skillrun.proof.history import Delivery, History
from skillrun.proof.jobs import distinct_payloads
from skillrun.proof.judges import logs
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unknowns import how_it_ended
from skillrun.proof.reference import INCOMPLETE, REFUTED, Judgement, Reference, items_of, was_met
from skillrun.proof.schedule import ONCE, Schedule, parse_schedule
from skillrun.proof.setting import Setting
from skillrun.proof.world import letter_queries, world_judgements

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.proof.confirm.interface import Confirmed

DIRECT = 1_000  # the proof's own payload, published without the application's call
MOST_WITNESSES = 5
RERUNS = 3

OnProgress = Callable[[str, int, int], None]
"""(what, done, of)."""


@dataclass(frozen=True)
class Tried:
    """One schedule, what happened, and what the judges say."""

    schedule: Schedule
    history: History
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class Witness:
    """A refutation, seen again when its schedule was run again."""

    tried: Tried
    judgement: Judgement
    again: int  # of RERUNS

    @property
    def stable(self) -> bool:
        return self.again == RERUNS


@dataclass
class Proof:
    """All that a proof found. `verdict`: proved | refuted | incomplete."""

    verdict: str
    tried: list[Tried] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    incomplete: list[Judgement] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    reference: Reference | None = None
    answers: Mapping[str, logs.Answer] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    walled: bool = False
    duration_ms: int = 0
    confirmed: list[Confirmed] | None = None  # None: nobody asked for a real worker


@dataclass(frozen=True)
class Target:
    """What is proved: the spec, the repository, the driver (None: a plain callable) and the source roots."""

    spec: JobSpec
    root: Path
    driver: str | None
    paths: tuple[str, ...] = ()


def prove(target: Target, *, only: str | None = None, progress: OnProgress | None = None, workers: int = 2,
          stop_early: bool = False) -> Proof:  # fmt: skip
    """Runs every schedule (or `only` the given one) and judges. Raises SkillrunError where nothing could run.

    `stop_early`: the first refutation is enough; what was not tried is then not known.

    The same spec, code and machine give the same schedules in the same order, and so the same first witness.
    """
    begun = time.monotonic()
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
    judgement = Judgement(REFUTED, "payload.not-serialisable", f"the job is never published: {why}", expected=want)
    tried = Tried(ONCE, History(ONCE, (delivery,)), (judgement,))
    return Proof("refuted", [tried], [Witness(tried, judgement, RERUNS)])


def look(target: Target, *, progress: OnProgress | None = None) -> Proof:
    """The single run and the plan that follows from it; no schedule is run. `verdict` is "incomplete"."""
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
        # A zygote's watcher ends with the thread that started it (prctl PDEATHSIG): these live as long as the session.
        self.threads = ThreadPoolExecutor(max_workers=max(workers - 1, 1))
        self.others: list[Future[Explorer]] = []
        self.beside: list[Future[None]] = []
        self.problems: list[Judgement] = []
        self.tried: dict[Schedule, Tried] = {}
        self.only: Schedule | None = None

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
        self.payloads, self.only = self._payloads(), only
        if only is not None:
            check_given(only, self.target.spec, self.payloads)
        first: Future[Explorer] = Future()
        if only is None:
            self.others = [self.threads.submit(self._explorer, first) for _ in range(1, self.workers)]
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
        self.payloads = self._payloads()
        first = self._explorer()
        self._find_out(first)
        plan = self._plan(first)
        return Proof(
            "incomplete", list(self.tried.values()), [], list(self.problems), plan, self.reference, facts=first.facts
        )

    def _find_out(self, first: Explorer) -> None:
        """The single runs, and whether they can be compared with."""
        self.explorers.append(first)
        self.reference = self._reference(first)
        self._single_run_is_sound()

    # -- the beginning

    def _payloads(self) -> dict[int, Any]:
        """By job: 0 the first example, 1.. distinct jobs, DIRECT the first again, -1-N the poison payloads."""
        spec = self.target.spec
        examples = spec.examples
        payloads: dict[int, Any] = {0: examples[0], DIRECT: examples[0]}
        payloads |= dict(enumerate(distinct_payloads(spec), start=1))
        poison = spec.proof.poison if spec.proof else ()
        return payloads | {POISON - number: payload for number, payload in enumerate(poison)}

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

    def _reference(self, explorer: Explorer) -> Reference:
        """The single runs, and which state queries differ between two of them."""
        once = explorer.run(ONCE)
        if once.hung or once.runs[0].died:
            self._keep(once, Reference(self.target.spec, once, {}, explorer.facts))
            return Reference(self.target.spec, once, {}, explorer.facts)
        if explorer.facts.get("ticks"):
            explorer.items = items_of(once)
        later = explorer.run(Schedule("once", late=61))
        jobs = {}
        for job in sorted(job for job in explorer.origin.messages if 0 < job < DIRECT):
            alone = explorer.run(Schedule("alone", moves=(f"job={job}",)))
            if _succeeds(alone):
                jobs[job] = alone
        volatile = frozenset(name for name, rows in once.state.items() if later.state.get(name) != rows)
        reference = Reference(
            self.target.spec,
            once,
            jobs,
            explorer.facts,
            volatile,
            before=explorer.state_before(),
            later=later,
            ticks=self._single_ticks(explorer),
            orders=_orders(explorer, jobs),
            letters=letter_queries(self.target.spec),
        )
        for history in (once, later):
            self._keep(history, reference)
        return reference

    def _single_ticks(self, explorer: Explorer) -> dict[str, History]:
        """What a clocked job does in the tick at which two of them are to do it once."""
        moves = [s.moves[0] for s in dst(self.target.spec)] if explorer.clocked else []
        return {move: explorer.run(Schedule("alone", moves=(move,))) for move in moves}

    def _single_run_is_sound(self) -> None:
        """What is wrong with the single run becomes a problem."""
        once, reference = self.reference.once, self.reference
        run = once.runs[0]
        problem = _single_run_problem(run, once, reference, self.target.spec)
        if problem:
            self.problems.append(Judgement(INCOMPLETE, "single-run", problem))
        elif self.target.spec.enqueue is not None and self._other_arguments():
            said = "enqueue.args publishes another job than the first of payload.examples"
            self.problems.append(Judgement(INCOMPLETE, "enqueue.other-job", said))

    def _other_arguments(self) -> bool:
        """Whether the application's call publishes other arguments than the first example has."""
        messages = self.explorers[0].origin.messages
        mine, direct = messages[0].get("arguments"), messages[DIRECT].get("arguments")
        return mine is not None and direct is not None and mine != direct

    def _plan(self, explorer: Explorer) -> Plan:
        caller = [e for e in explorer.caller.events if e.kind == "at"] if explorer.caller else []
        plan = plan_schedules(
            self.target.spec, self.reference.once, dict(explorer.facts), sorted(self.reference.jobs), caller
        )
        unpublished = {POISON - job for job in explorer.unpublished if job < 0}
        for job, why in explorer.unpublished.items():
            self.problems.append(Judgement(INCOMPLETE, "not-published", f"{_job_words(job)}: {why}"))
        refused = {POISON - job for job in explorer.refused}
        plan.schedules = [s for s in plan.schedules if s.poison is None or s.poison not in unpublished | refused]
        if refused and not any(s.poison is not None for s in plan.schedules):
            plan.skipped["poison"] = "the application itself refuses every poison payload"
        return plan

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

        self.beside = [self.threads.submit(lambda found: work(found.result()), other) for other in self.others]
        work(self.explorers[0])
        for thread in self.beside:
            thread.result()

    def _run(self, explorer: Explorer, schedule: Schedule) -> tuple[History, Reference]:
        """A schedule's history, and what it is compared with."""
        explorer.items = self.explorers[0].items
        history = explorer.run(schedule)
        apart = explorer.run(schedule.apart) if schedule.same else None
        return history, replace(self.reference, apart=apart)

    def _keep(self, history: History, reference: Reference) -> None:
        judgements = judge_history(history, reference)
        self.tried[history.schedule] = Tried(history.schedule, history, judgements)
        self.refuted = self.refuted or (was_met(history) and any(j.verdict == REFUTED for j in judgements))

    def _second_phase(self, plan: Plan) -> None:
        """Second deaths, at the boundaries that the deliveries after a first one really had."""
        from skillrun.proof.families import MOST

        room = MOST - len(self.tried)
        singles = [t.history for s, t in self.tried.items() if s.family == "kill" and s.faults[0].do == "kill"]
        pairs = [schedule for history in singles for schedule in double_kills(history)]
        ends = [
            schedule for s, t in list(self.tried.items()) if s.family in ("exhaustion", "permanent")
            for schedule in failing_kills(t.history)
        ]  # fmt: skip
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
        witnesses = self._witnesses(tried)
        self.problems += [_unstable(witness) for witness in witnesses if not witness.again]
        witnesses = [witness for witness in witnesses if witness.again]
        if self.only is None and not self.problems_fatal():  # logs are compared over all schedules
            witnesses += self._log_witnesses(found, tried)
        if self.only in self.tried:
            self.problems += unreached(self.tried[self.only].history)
        incomplete = self.problems + [j for t in tried for j in t.judgements if j.verdict == INCOMPLETE]
        verdict = "refuted" if witnesses else "incomplete" if incomplete else "proved"
        from skillrun.proof.zygote import network_wall

        explorers = (*self.explorers, *(other.result() for other in self.others))
        modules = tuple(sorted(set().union(*(explorer.processes.modules for explorer in explorers))))
        return Proof(
            verdict, tried, witnesses, _distinct(incomplete), plan, self.reference, found,
            self.explorers[0].facts, modules, bool(network_wall()),
        )  # fmt: skip

    def problems_fatal(self) -> bool:
        """Whether the single run itself could not be used."""
        return any(problem.rule in ("single-run", "enqueue.other-job") for problem in self.problems)

    def _witnesses(self, tried: list[Tried]) -> list[Witness]:
        """The first schedule of each kind of refutation, run again to see whether it is one each time."""
        chosen: dict[tuple[str, str | None], tuple[Tried, Judgement]] = {}
        fatal = self.problems_fatal()  # there is nothing to compare with; what is never committed shows by itself
        for item in sorted(tried, key=lambda t: _weight(t.schedule)):
            if not was_met(item.history):
                continue
            for judgement in item.judgements:
                if judgement.verdict == REFUTED and (not fatal or judgement.rule == "state.not-committed"):
                    chosen.setdefault((judgement.rule, judgement.effect), (item, judgement))
        return [self._again(item, judgement) for item, judgement in list(chosen.values())[:MOST_WITNESSES]]

    def _again(self, item: Tried, judgement: Judgement) -> Witness:
        again = 0
        for _ in range(RERUNS):
            found = judge_history(*self._run(self.explorers[0], item.schedule))
            again += any(j.rule == judgement.rule and j.verdict == REFUTED for j in found)
        return Witness(item, judgement, again)

    def _log_witnesses(self, found: Mapping[str, logs.Answer], tried: list[Tried]) -> list[Witness]:
        """An unanswered question, shown by a delivery that poses it."""
        made = []
        for judgement in logs.judge(found):
            question = judgement.rule.partition(".")[2]
            wanted = found[question].example
            item = next((t for t in tried if any(d.outcome == wanted for d in t.history.runs)), tried[0])
            made.append(Witness(item, judgement, RERUNS))
        return made


def check_given(only: Schedule, spec: JobSpec, payloads: Mapping[int, Any]) -> None:
    """Raises Misuse for a given schedule that names what the spec does not have."""
    jobs = only.jobs
    if only.poison is not None and POISON - only.poison not in payloads:
        raise Misuse(f"--schedule: proof.poison has no payload {only.poison}", hint="they are counted from 0")
    if any(not 0 < job < DIRECT or job not in payloads for job in jobs):
        known = sum(0 < job < DIRECT for job in payloads)
        raise Misuse(f"--schedule: no such job: {jobs[0]}", hint=f"there are {known} distinct jobs, counted from 1")
    failures = spec.failures
    listed = {error.type for error in (*failures.transient, *failures.permanent)} if failures else set()
    for fault in only.faults:
        if fault.do == "raise" and fault.error not in listed:
            hint = f"failures lists: {', '.join(sorted(listed)) or 'nothing'}"
            raise Misuse(f"--schedule: {fault.error} is not in failures", hint=hint)
        if fault.do.startswith("caller-") and spec.enqueue is None:
            raise Misuse(f"--schedule: {fault.do} needs enqueue in the spec", hint="enqueue: {call: module:function}")


def unreached(history: History) -> list[Judgement]:
    """A given schedule whose faults did not all come about shows nothing."""
    met = [str(event["at"]) for event in history.events if event.kind == "fault"]
    missed = [fault for fault in history.schedule.faults if not any(_is_at(fault.at, at) for at in met)]
    said = "the job never came to"
    return [Judgement(INCOMPLETE, "schedule.unreached", f"{said} {fault.at}") for fault in missed[:1]]


def _is_at(planned: str, met: str) -> bool:
    if planned.endswith("!"):
        return met.rpartition("#")[0] == planned.rpartition("#")[0]
    return planned == met or (planned.endswith("#*") and met.rpartition("#")[0] == planned[:-2])


def _unstable(witness: Witness) -> Judgement:
    said = f"{witness.judgement.message} under {witness.tried.schedule}, but not when that was run again {RERUNS} times"
    return Judgement(INCOMPLETE, "witness.unstable", said)


def _orders(explorer: Explorer, jobs: Iterable[int]) -> tuple[History, ...]:
    """The first job and a distinct one, one after the other, in both orders."""
    other = next(iter(jobs), None)
    if other is None or explorer.facts.get("ticks"):
        return ()
    moves = (("job=0", f"job={other}"), (f"job={other}", "job=0"))
    made = (explorer.run(Schedule("alone", moves=both)) for both in moves)
    return tuple(history for history in made if all(run.outcome == "succeeded" for run in history.runs))


def _limit(spec: JobSpec) -> int:
    """Deliveries of one schedule after which a job counts as unbounded."""
    retry = spec.retry
    most = (retry.max_attempts or 1) if retry and retry.kind != "none" else 1
    return most * 2 + 6


def _succeeds(history: History) -> bool:
    return bool(history.runs) and history.runs[-1].outcome == "succeeded" and not history.hung


def _single_run_problem(run: Any, once: History, reference: Reference, spec: JobSpec) -> str | None:
    if once.hung:
        return f"the single run did not end; its last boundary was {once.hung}"
    died = run.first("died")
    if died is not None:
        return f"the single run {how_it_ended(died)}"
    error = run.raised or run.first("raised")
    if error is not None:
        place = f" ({error.place[0]}:{error.place[1]})" if error.place else ""
        return f"the single run fails: {error['error'].rpartition(':')[2]}: {error['text']}{place}"
    broken = run.first("probe-error")
    if broken is not None:
        return f"the single run fails: {broken['error']!s}"
    if not run.entered:
        return "the single run never reached the handler"
    missing = [effect.name for effect in spec.effects or () if not reference.calls(effect.name)]
    if missing:
        return f"the single run does not reach: {', '.join(missing)}"
    return next((f"proof.state.{name}: {rows[7:]}" for name, rows in once.state.items() if _is_error(rows)), None)


def _is_error(rows: Any) -> bool:
    return isinstance(rows, str) and rows.startswith("error: ")


def _job_words(job: int) -> str:
    return f"proof.poison[{POISON - job}]" if job < 0 else f"payload.examples[{job}]"


def _weight(schedule: Schedule) -> tuple[int, int]:
    """The simplest witness first."""
    return len(schedule.faults) + len(schedule.moves) + (schedule.copies - 1) * 2, schedule.copies


def _distinct(judgements: Iterable[Judgement]) -> list[Judgement]:
    return list({(j.rule, j.message): j for j in judgements}.values())
