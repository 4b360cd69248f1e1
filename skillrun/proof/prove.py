"""The whole proof of one job, in order: set up, single run, plan, schedules, judges, verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.changed_rows import list_worlds
from skillrun.proof.database_servers import find_server
from skillrun.proof.decisions import choose_rivals, list_guesses, list_rivals
from skillrun.proof.drafts import list_tables_of
from skillrun.proof.examples import (
    choose_examples,
    has_other_job,
    label_example,
    list_ways_to_put_first,
    merge_proofs,
)
from skillrun.proof.explorer import Explorer
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.families.errors import list_ends_in_failure
from skillrun.proof.families.plan import Plan
from skillrun.proof.families.registry import plan_schedules, plan_second_phase
from skillrun.proof.families.situation import Situation
from skillrun.proof.families.sweeps import list_moves_to_next_tick
from skillrun.proof.given import check_example, check_given, check_key, unreached
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.jobs import DIRECT, POISON, payloads_of
from skillrun.proof.judges import logs
from skillrun.proof.judges.outages import find_showing
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unknowns import merge_undeclared
from skillrun.proof.judges.unpromised import LEFT, is_turned_away
from skillrun.proof.reference import INCOMPLETE, REFUTED, Judgement, Reference, was_met
from skillrun.proof.result import RERUNS, OnProgress, Proof, Target, Tried, Witness
from skillrun.proof.rivals import Rival, read_contents
from skillrun.proof.schedule import ONCE, Schedule, parse_schedule
from skillrun.proof.secrets import find_addresses, find_secrets
from skillrun.proof.setting import Setting, raise_loss
from skillrun.proof.single import find_single_run_problem, run_singles
from skillrun.proof.ticks import has_next_tick
from skillrun.proof.uncalled_sweeps import find_uncalled
from skillrun.proof.varied import VARIED, varied_payloads
from skillrun.proof.varied_marks import find_skipped_marks
from skillrun.proof.witnesses import (
    CANDIDATES,
    choose_refutations,
    choose_risks,
    describe_unstable,
    make_log_witnesses,
    release_logs,
)
from skillrun.proof.world import world_judgements
from skillrun.proof.worlds import DONE, GIVEN_UP

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Where nobody has said how often a job is tried, no library's own default is endless: Dramatiq's is
# the highest.
_MOST_BY_DEFAULT = 21
_MORE_DELIVERIES = 6
# More than a day: most leases and sweeps are of minutes or hours.
_NEXT_DAY = ("wait=90000", "re-enqueue")
_MOST_SHOWN = 160  # characters of a message


def prove(
    target: Target,
    *,
    only: str | None = None,
    progress: OnProgress | None = None,
    workers: int = 2,
    stop_early: bool = False,
) -> Proof:
    """Runs every schedule of a job, or `only` the given one, and judges what happens. Raises
    SkillrunError where nothing could run.

    `stop_early`: the first refutation is enough; what was not tried is then not known.

    The same spec, code and machine give the same schedules in the same order, and so the same first
    witness.
    """
    begun = time.monotonic()
    check_key(target.spec)
    progress = progress or (lambda what, done, of: None)
    asked = parse_schedule(only) if only else None

    def prove_example(number: int) -> Proof:
        own = replace(asked, example=0) if asked is not None else None
        for spec in list_ways_to_put_first(target.spec, number):
            try:
                proof = _prove_first(replace(target, spec=spec), own, progress, workers)
            except NotPublished:
                if spec.enqueue is None:
                    raise
                continue
            if spec.enqueue is None or not has_other_job(proof):
                break
        return label_example(proof, number)

    if asked is not None and asked.example:
        check_example(target.spec, asked.example)
        proof = prove_example(asked.example)
    else:
        proof = _prove_first(target, asked, progress, workers, stop_early=stop_early)
        is_answered = proof.verdict == "incomplete" or (stop_early and proof.witnesses)
        if asked is None and proof.reference is not None and not is_answered:
            others = list(map(prove_example, choose_examples(proof.reference)))
            proof = merge_proofs(proof, others) if others else proof
    proof.duration_ms = int((time.monotonic() - begun) * 1000)
    return proof


def _prove_first(
    target: Target,
    only: Schedule | None,
    progress: OnProgress,
    workers: int,
    *,
    stop_early: bool = False,
) -> Proof:
    """The proof with the first example as the proof's own job."""
    with _Session(target, progress, workers) as session:
        session.stop_early = stop_early
        try:
            return session.run_proof(only)
        except NotPublished as error:
            if error.unfit is None or error.job != 0:
                raise
            return _refute_unpublished(error.unfit, error.why)


def _read_sent(histories: Iterable[History]) -> str:
    """All that the effects of some schedules were called with, and what their real calls sent."""
    told: list[str] = []
    for history in histories:
        told += [str(call["args"]) for call in history.performed()]
        for event in history.all("heard"):
            told += map(str, event["sent"])
    return "\n".join(told)


def _refute_unpublished(delivery: Delivery, why: str) -> Proof:
    """The refutation of a job whose application's own call fails without any fault: its arguments
    are no message.
    """
    want = "plain values: ids, not objects"
    judgement = Judgement(
        REFUTED, "payload.not-serialisable", f"the job is never published: {why}", expected=want
    )
    tried = Tried(ONCE, History(ONCE, (delivery,)), (judgement,))
    return Proof("refuted", [tried], [Witness(tried, judgement, RERUNS)])


def look(target: Target, *, progress: OnProgress | None = None) -> Proof:
    """Runs the job once by itself, and plans its schedules without running them. The proof that is
    returned has the verdict "incomplete".
    """
    with _Session(target, progress or (lambda what, done, of: None), workers=1) as session:
        return session.look()


def observe(
    target: Target, schedules: Iterable[str], *, progress: OnProgress | None = None
) -> list[History]:
    """Runs some schedules, and returns what happened in them, without a verdict. Raises
    SkillrunError where nothing could run.
    """
    with _Session(target, progress or (lambda what, done, of: None), workers=1) as session:
        return session.observe([parse_schedule(text) for text in schedules])


def observe_worlds(target: Target) -> dict[str, list[History]]:
    """World -> what a few schedules come to there: the single run, each effect's real call, and the
    ends in failure. "": with the rows that the setup makes. Raises SkillrunError where nothing
    could run.
    """
    with _Session(target, lambda what, done, of: None, workers=1) as session:
        return session.observe_worlds()


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Removes all that the session has made. Where the proof was interrupted, the other threads
        are told to end first. Raises Blocked where a folder of it was gone by then.
        """
        if kind is not None:
            for setting in self.settings:
                setting.abandon()
        self.threads.shutdown(wait=False, cancel_futures=True)
        for future in self.beside:
            future.cancel()
        running: list[Future[Any]] = [*self.others, *self.beside]
        wait(running)
        try:
            raise_loss(self.settings, error)
        finally:
            for setting in self.settings:
                setting.close()
            self.threads.shutdown()

    def run_proof(self, only: Schedule | None) -> Proof:
        """Runs and judges the planned schedules, or `only` the given one."""
        self.payloads, self.only = payloads_of(self.target.spec), only
        if only is None or only.varied:
            self.payloads |= varied_payloads(self.target.spec)
        if only is not None:
            check_given(only, self.target.spec, self.payloads)
        first: Future[Explorer] = Future()
        if only is None:
            for _ in range(1, self.workers):
                self.others.append(self.threads.submit(self._set_up_explorer, first))
        try:
            first.set_result(self._set_up_explorer())
        except BaseException as error:
            first.set_exception(error)
            raise
        self._run_singles(first.result())
        if self.is_single_run_unfit():
            return self._conclude_proof(Plan())
        plan = self._make_plan(first.result())
        if only is not None:
            plan = Plan([only])
        elif self.target.acks_late:
            # What follows a lost message is the same however it was acknowledged.
            schedules = plan.schedules
            plan.schedules = [one for one in schedules if one.kills_handler and not one.lose]
        self._run_on_all_workers(plan.schedules)
        if only is None and not (self.stop_early and self.refuted):
            self._run_second_phase(plan)
        return self._conclude_proof(plan)

    def look(self) -> Proof:
        """Runs the job by itself and plans its schedules, without running them."""
        self.payloads = payloads_of(self.target.spec) | varied_payloads(self.target.spec)
        first = self._set_up_explorer()
        self._run_singles(first)
        plan = self._make_plan(first)
        return Proof(
            "incomplete",
            list(self.tried.values()),
            incomplete=list(self.problems),
            plan=plan,
            reference=self.reference,
            facts=first.facts,
        )

    def observe(self, schedules: list[Schedule]) -> list[History]:
        """Runs some schedules, and returns their histories in the same order."""
        self.payloads = payloads_of(self.target.spec)
        explorer = self._set_up_explorer()
        self.explorers.append(explorer)
        return [explorer.run(schedule) for schedule in schedules]

    def observe_worlds(self) -> dict[str, list[History]]:
        """See the function of the same name."""
        self.payloads = payloads_of(self.target.spec)
        explorer = self._set_up_explorer()
        once = explorer.run(ONCE)
        schedules = [ONCE]
        for effect in self.target.spec.effects or ():
            if effect.mode != "pass_through":
                schedules.append(parse_schedule(f"answer=200@before:{effect.name}#1 listen"))
        ends = list_ends_in_failure(Situation(self.target.spec, once, explorer.facts))
        explorer.learn_left(DONE, [ONCE])
        explorer.learn_left(GIVEN_UP, ends)
        found = {"": [explorer.run(schedule) for schedule in (*schedules, *ends)]}
        explorer.setting.restore()
        sent, read = _read_sent(found[""]), list_tables_of(once.events)
        for world in list_worlds(explorer.store, self.target.spec, sent, read):
            # Who fails does so whatever a value is.
            asked = schedules if world.column else [*schedules, *ends]
            found[str(world)] = [explorer.run(replace(one, world=world)) for one in asked]
        return found

    def _run_singles(self, first: Explorer) -> None:
        """Runs the job by itself, and notes why that cannot be compared with, where it cannot."""
        self.explorers.append(first)
        self.payloads = first.payloads
        found, singles = run_singles(first, self.target.spec)
        secrets, addresses = self._find_secrets(first)
        self.reference = replace(
            found,
            contract=self.target.contract,
            secrets=secrets,
            addresses=addresses,
            uncalled=find_uncalled(
                self.target.root, _list_sweeps(self.target.spec), found.facts.scheduled
            ),
            unpromised=self.target.unpromised,
            sweepers=self.target.sweepers,
            guessed_errors=self.target.guessed_errors,
            server=self._find_missing_server(),
        )
        for history in singles:
            self._keep_history(history, self.reference)
        self._check_single_run()

    def _find_missing_server(self) -> str:
        """The database server that the application has and the proof has not; "" where there is
        none.
        """
        proof = self.target.spec.proof
        if proof is not None and "postgresql" in proof.services:
            return ""
        return find_server(self.target.root)

    # -- the beginning

    def _set_up_explorer(self, first: Future[Explorer] | None = None) -> Explorer:
        """Sets up an explorer with a setting of its own. `first`: the one whose messages it takes
        over; None for the first itself.
        """
        target = self.target
        setting = Setting(target.spec, target.root, target.driver, target.paths)
        setting.acks_late = target.acks_late
        self.settings.append(setting)
        self.progress("setting up", 0, 0)
        setting.start_servers()
        setting.set_up()
        explorer = Explorer(setting, limit=limit_deliveries(target.spec))
        if first is None:
            explorer.begin(self.payloads)
        else:
            setting.zygote()
            explorer.begin_as(first.result())
        return explorer

    def _check_single_run(self) -> None:
        """Notes as a problem what is wrong with the single run."""
        problem = find_single_run_problem(self.reference)
        if problem:
            self.problems.append(Judgement(INCOMPLETE, "single-run", problem))
        elif self.target.spec.enqueue is not None:
            self._compare_with_example()

    def _compare_with_example(self) -> None:
        """Notes a problem where the application's call publishes other arguments than the first
        example has.
        """
        messages = self.explorers[0].origin.messages
        mine, direct = messages[0].get("arguments"), messages.get(DIRECT, {}).get("arguments")
        if mine is None or direct is None or mine == direct:
            return
        said = "enqueue.args publishes another job than the first of payload.examples:"
        # A field may be one of the library's own options, and never come to the handler.
        said += f" {_show_arguments(mine)}, where the example is {_show_arguments(direct)}"
        self.problems.append(Judgement(INCOMPLETE, "enqueue.other-job", said))

    def _make_plan(self, explorer: Explorer) -> Plan:
        """Plans the schedules that suit what the single runs have shown."""
        caller: list[Event] = []
        if explorer.caller is not None:
            caller = list(explorer.caller.all("at"))
        situation = Situation(
            self.target.spec,
            self.reference.once,
            explorer.facts,
            jobs=tuple(sorted(self.reference.jobs)),
            called=tuple(sorted(self.reference.called)),
            caller=tuple(caller),
            varied=self._count_varied(explorer),
            daily=explorer.daily,
            due=explorer.due,
            is_same_next_tick=self._is_same_next_tick(explorer),
            given=tuple(self._find_given_secrets()),
            draft_caller=tuple(self._call_from_draft(explorer)),
        )
        rivals = tuple(self._find_rivals(explorer, situation))
        plan = plan_schedules(replace(situation, rivals=rivals))
        for job, why in explorer.unpublished.items():
            said = f"{_name_job(job)}: {why}"
            self.problems.append(Judgement(INCOMPLETE, "not-published", said))
        self._leave_out_refused(plan, explorer)
        return plan

    def _leave_out_refused(self, plan: Plan, explorer: Explorer) -> None:
        """Takes the schedules out of a plan whose poison payload the application does not publish:
        it reaches no handler.
        """
        # Payloads by job number, see `proof.jobs`: only those below 0 are poison. `poison` is None in
        # all schedules of another family.
        without = {POISON - job for job in (*explorer.unpublished, *explorer.refused) if job < 0}
        plan.schedules = [one for one in plan.schedules if one.poison not in without]
        if explorer.refused and all(one.poison is None for one in plan.schedules):
            plan.skipped["poison"] = "the application itself refuses every poison payload"

    def _find_rivals(self, explorer: Explorer, situation: Situation) -> list[Rival]:
        """What somebody else may change while the job runs; nothing for ticks, which bring their own
        work, and where no database can be looked into.
        """
        if explorer.facts.ticks or explorer.store is None or self.is_single_run_unfit():
            return []
        rows = explorer.watch_rows()
        ends = explorer.find_other_ends(rows, list_ends_in_failure(situation))
        spec, modules = self.target.spec, explorer.facts.modules
        handler = spec.handler or ""
        places = [one.place for one in self.reference.once.events if one.place is not None]
        found = list_rivals(explorer.store, self.target.root, handler, modules, rows, places, ends)
        found, missing = choose_rivals(found, rows, spec.proof)
        for text in missing:
            said = f"proof.rivals: {text}: the job changes no row that has this table and column"
            self.problems.append(Judgement(INCOMPLETE, "rival.not-there", said))
        explorer.rivals = {rival.text: rival for rival in found}
        first = next((one.boundary for one in self.reference.once.events if one.boundary), None)
        for rival in found:
            if first is not None and not rival.is_decision:
                explorer.let_come_first(rival, first)
        return list(explorer.rivals.values())

    def _call_from_draft(self, explorer: Explorer) -> list[Event]:
        """The boundaries of the application's call where it finds its work undone; none where no
        such state is found, or where the job does not come to the same end from there.
        """
        caller, ticks = explorer.caller, explorer.facts.ticks
        if ticks or caller is None or explorer.store is None or self.is_single_run_unfit():
            return []
        changed = explorer.list_changed_by_call()
        self.reference = replace(self.reference, changed_by_call=changed)
        read = set(list_tables_of(self.reference.once.events))
        tables = read.intersection(list_tables_of(caller.events))
        contents, modules = explorer.read_before_call(), explorer.facts.modules
        guesses = list_guesses(explorer.store, self.target.root, modules, contents, tables)
        explorer.draft = explorer.find_draft(guesses)
        if not explorer.draft:
            return []
        history = explorer.run(Schedule("before-commit", draft=True))
        judged = judge_history(history, self.reference)
        if any(one.verdict in (REFUTED, INCOMPLETE) for one in judged):
            explorer.draft = ()
            return []
        self.reference = replace(self.reference, has_draft=True)
        return list(history.deliveries[0].all("at"))

    def _is_same_next_tick(self, explorer: Explorer) -> bool:
        """Whether the next tick of the clock that publishes the job finds it done: it is no job of
        another day, and may do tomorrow what a death leaves undone today.
        """
        spec, once = self.target.spec, self.reference.once
        if not has_next_tick(spec, explorer.facts):
            return False
        both = explorer.run(Schedule("once", moves=list_moves_to_next_tick(spec)))
        if len(both.runs) != 2 or any(run.outcome != "succeeded" for run in both.runs):
            return False
        is_same_work = len(both.performed()) in (len(once.performed()), 2 * len(once.performed()))
        return is_same_work and not find_showing(both, self.reference)

    def _find_secrets(self, explorer: Explorer) -> tuple[dict[str, str], dict[str, str]]:
        """Secrets and addresses in the payloads, and in what the proof's stores hold before
        anything is delivered.
        """
        idempotency = self.target.spec.idempotency
        keys = (idempotency.key if idempotency else None) or ()
        explorer.setting.restore()
        payloads, contents = list(self.payloads.values()), read_contents(explorer.store)
        return find_secrets(payloads, contents, keys), find_addresses(payloads, contents, keys)

    def _list_secrets_of_rows(self) -> Iterator[str]:
        """The secrets that no payload has: a dead letter may hold its payload, to be played again."""
        for secret, name in self.reference.secrets.items():
            if "." in name:  # "members.card_token"
                yield secret

    def _find_given_secrets(self) -> dict[str, str]:
        """Effect -> a secret that the single run calls it with."""
        given: dict[str, str] = {}
        for call in self.reference.once.performed():
            told = str(call["args"])
            for secret in self.reference.secrets:
                if secret in told:
                    given.setdefault(str(call["effect"]), secret)
        return given

    def _count_varied(self, explorer: Explorer) -> int:
        """How many varied payloads there are; none where no keyed effect could tell them apart."""
        idempotency = self.target.spec.idempotency
        if idempotency is None or idempotency.strategy != "keyed":
            return 0
        if not any(effect.key_arg for effect in self.reference.effects):
            return 0
        last = max(explorer.origin.messages, default=0)
        return max(last - VARIED + 1, 0)

    # -- running

    def _run_on_all_workers(self, schedules: list[Schedule]) -> None:
        """Runs schedules on all workers; each takes the next one."""
        waiting = [schedule for schedule in dict.fromkeys(schedules) if schedule not in self.tried]
        if not waiting:
            return
        queue, lock, failed = iter(waiting), threading.Lock(), list[BaseException]()
        done = len(self.tried)
        total = done + len(waiting)

        def work(explorer: Explorer) -> None:
            nonlocal done
            # Where one worker fails, the others end after the schedule that they are at.
            try:
                while not failed and not (self.stop_early and self.refuted):
                    with lock:
                        schedule = next(queue, None)
                    if schedule is None:
                        return
                    history, reference = self._run_schedule(explorer, schedule)
                    with lock:
                        self._keep_history(history, reference)
                        done += 1
                        self.progress(schedule.family, done, total)
            except BaseException as error:
                failed.append(error)
                raise

        def work_when_ready(other: Future[Explorer]) -> None:
            work(other.result())

        self.beside = [self.threads.submit(work_when_ready, other) for other in self.others]
        work(self.explorers[0])
        for thread in self.beside:
            thread.result()

    def _run_schedule(self, explorer: Explorer, schedule: Schedule) -> tuple[History, Reference]:
        """Runs a schedule, and returns its history and what that is compared with."""
        explorer.orders.items = self.explorers[0].orders.items
        explorer.follow_clock(self.explorers[0])
        explorer.unread = self.explorers[0].unread
        explorer.once = self.explorers[0].once
        explorer.rivals = self.explorers[0].rivals
        explorer.draft = self.explorers[0].draft
        explorer.orders.given = self._find_given_secrets()
        explorer.secrets = tuple(self._list_secrets_of_rows())
        explorer.contents_after = self.explorers[0].contents_after
        history = explorer.run(schedule)
        apart = explorer.run(schedule.apart) if schedule.same else None
        reference = replace(self.reference, apart=apart)
        if self.target.unpromised and is_turned_away(history):
            reference = self._look_a_day_later(explorer, history, reference)
        return history, reference

    def _look_a_day_later(
        self, explorer: Explorer, history: History, reference: Reference
    ) -> Reference:
        """The reference for a draft's job that a delivery after a fault left undone: with what
        comes of another message, once every claim that was left has run out.
        """
        judged = judge_history(history, reference)
        undone = [one for one in judged if one.verdict == REFUTED and one.rule in LEFT]
        if not undone:
            return reference
        moves = (*history.schedule.moves, *_NEXT_DAY)
        later = explorer.run(replace(history.schedule, moves=moves))
        return replace(reference, next_day=judge_history(later, reference))

    def _keep_history(self, history: History, reference: Reference) -> None:
        """Judges a history, and keeps what the judges say beside it."""
        tried = Tried(history.schedule, history, judge_history(history, reference))
        if history.schedule.family == "varied":
            self.varied = tried
            return
        self.tried[history.schedule] = tried
        if was_met(history) and tried.list_judgements(REFUTED):
            self.refuted = True

    def _run_second_phase(self, plan: Plan) -> None:
        """Runs second deaths, at the boundaries that the deliveries after a first death really
        had.
        """
        histories = [tried.history for tried in self.tried.values()]
        spec, facts = self.target.spec, self.reference.facts
        later = plan_second_phase(histories, len(self.tried), facts, spec)
        plan.schedules += later.schedules
        plan.cut |= later.cut
        plan.skipped |= later.skipped
        self._run_on_all_workers(later.schedules)

    # -- the end

    def _conclude_proof(self, plan: Plan) -> Proof:
        """Repeats what was refuted, and puts all that was found into one proof."""
        tried = list(self.tried.values())
        histories = [item.history for item in tried]
        found = logs.answer_questions(histories, self.reference, self.payloads)
        self.problems += world_judgements(self.target, self.reference, histories, self.explorers[0])
        shown = [*tried]
        if self.varied is not None:
            shown.append(self._narrow_varied(self.varied))
            self.problems += find_skipped_marks(self.varied.history, self.reference)
        fatal = self.is_single_run_unfit()
        witnesses = self._confirm_all(choose_refutations(shown, fatal=fatal))
        risks = [] if fatal else self._confirm_risks(tried)
        # Logs are compared over all schedules.
        if self.only is None and not fatal:
            silent = make_log_witnesses(found, tried)
            if "logs" in self.target.unpromised:
                risks += release_logs(silent)
            else:
                witnesses += silent
        if self.only in self.tried:
            self.problems += unreached(self.tried[self.only].history)
        incomplete = [*self.problems]
        for item in shown:
            for judgement in item.list_judgements(INCOMPLETE):
                incomplete.append(replace(judgement, schedule=str(item.schedule)))
        return Proof(
            _choose_verdict(witnesses, incomplete),
            tried,
            witnesses,
            merge_undeclared(_drop_duplicates(incomplete)),
            plan,
            self.reference,
            found,
            self.explorers[0].facts,
            self._collect_modules(),
            self.settings[0].sandbox.walls,
            varied=self.varied,
            risks=risks,
            unpromised=self.target.unpromised,
        )

    def _confirm_all(self, kinds: list[list[tuple[Tried, Judgement]]]) -> list[Witness]:
        """A witness for each kind that is seen again when its schedule is run again. What is never
        seen again is noted as a problem instead.
        """
        found: list[Witness] = []
        for candidates in kinds:
            witness = self._choose_witness(candidates)
            if witness.again:
                found.append(witness)
            else:
                self.problems.append(describe_unstable(witness))
        return found

    def _confirm_risks(self, tried: list[Tried]) -> list[Witness]:
        """A witness for each risk that is seen again, with all schedules that show the risk."""
        kinds = {seen[0][1].rule: seen for seen in choose_risks(tried)}
        candidates = []
        for rule, seen in kinds.items():
            own = [pair for pair in seen if pair[1].rule == rule]
            candidates.append(own[:CANDIDATES])
        return [_add_kind(one, kinds[one.judgement.rule]) for one in self._confirm_all(candidates)]

    def _collect_modules(self) -> tuple[str, ...]:
        """The repository's modules that any of the processes has imported."""
        found: set[str] = set()
        for explorer in self.explorers:
            found |= explorer.processes.modules
        for other in self.others:
            found |= other.result().processes.modules
        return tuple(sorted(found))

    def _narrow_varied(self, varied: Tried) -> Tried:
        """What was tried with varied payloads, cut down to those that show it: the two that share a
        key, or the one that cannot be done; as it was, where these do not show it by themselves.
        """
        refuted = varied.list_judgements(REFUTED)
        if not refuted:
            return varied
        numbers = []
        for run in varied.history.runs:
            told = {event.number for event in run.events}
            if run.job >= VARIED and not told.isdisjoint(refuted[0].events):
                numbers.append(str(run.job - VARIED + 1))
        if not numbers:
            return varied
        schedule = Schedule("varied", moves=(f"varied={','.join(numbers)}",))
        history = self.explorers[0].run(schedule)
        judgements = judge_history(history, self.reference)
        if _is_said_again(judgements, refuted[0]):
            return Tried(schedule, history, judgements)
        return varied

    def is_single_run_unfit(self) -> bool:
        """Whether the single run itself could not be used."""
        rules = {problem.rule for problem in self.problems}
        return not rules.isdisjoint(("single-run", "enqueue.other-job"))

    def _choose_witness(self, candidates: list[tuple[Tried, Judgement]]) -> Witness:
        """The first witness that is seen again each time, else the one that is seen most often."""
        best: Witness | None = None
        for item, judgement in candidates:
            found = self._repeat_witness(item, judgement)
            if best is None or found.again > best.again:
                best = found
            if found.stable:
                break
        assert best is not None
        return best

    def _repeat_witness(self, item: Tried, judgement: Judgement) -> Witness:
        """A witness, with how often it was seen when its schedule was run again."""
        again = 0
        for _ in range(RERUNS):
            found = judge_history(*self._run_schedule(self.explorers[0], item.schedule))
            again += _is_said_again(found, judgement)
        return Witness(item, judgement, again)


def _choose_verdict(witnesses: list[Witness], incomplete: list[Judgement]) -> str:
    """The verdict of a proof: a single witness refutes, whatever else is missing."""
    if witnesses:
        return "refuted"
    if incomplete:
        return "incomplete"
    return "proved"


def _add_kind(risk: Witness, seen: list[tuple[Tried, Judgement]]) -> Witness:
    """A risk with all schedules of its root, and with the other risks of that root by name."""
    schedules: dict[Schedule, None] = {}
    others: dict[str, None] = {}
    for item, judgement in seen:
        schedules[item.schedule] = None
        others[judgement.rule] = None
    others.pop(risk.judgement.rule, None)
    return replace(risk, schedules=tuple(schedules), also=tuple(others))


def _is_said_again(judgements: Iterable[Judgement], before: Judgement) -> bool:
    """Whether something is said again by the same rule, and is as bad."""
    same = (before.verdict, before.rule, before.grade)
    return any((one.verdict, one.rule, one.grade) == same for one in judgements)


def _list_sweeps(spec: JobSpec) -> Iterator[str]:
    """Yields the application's calls that look for what stood still."""
    for sweep in spec.recovers:
        yield sweep.call


def limit_deliveries(spec: JobSpec) -> int:
    """The number of deliveries in one schedule after which a job counts as unbounded: two jobs with
    all their attempts, and a few that deaths and moves bring.
    """
    retry = spec.retry
    attempts = 1
    if retry is None:
        attempts = _MOST_BY_DEFAULT
    elif retry.kind != "none":
        attempts = retry.max_attempts or 1
    deaths = 0
    if spec.worker is not None:
        deaths = spec.worker.deliveries or 0
    return max(attempts * 2, deaths) + _MORE_DELIVERIES


def _show_arguments(arguments: Any) -> str:
    """Arguments as a message shows them, cut off where they are long."""
    text = str(arguments)
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}..."


def _name_job(job: int) -> str:
    """A job as the spec has it: "payload.examples[1]"."""
    if job < 0:
        return f"proof.poison[{POISON - job}]"
    return f"payload.examples[{job}]"


def _drop_duplicates(judgements: Iterable[Judgement]) -> list[Judgement]:
    """The judgements without those that say the same; of these the last is kept, where the first of
    them stood.
    """
    found: dict[tuple[str, str], Judgement] = {}
    for judgement in judgements:
        found[judgement.rule, judgement.message] = judgement
    return list(found.values())
