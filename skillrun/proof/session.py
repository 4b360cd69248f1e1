"""The workplaces of one proof, the schedules that ran in them, and what the judges said of each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.database_servers import find_server
from skillrun.proof.explorer import Explorer
from skillrun.proof.given import check_given, check_other_jobs
from skillrun.proof.history import History
from skillrun.proof.jobs import DIRECT, payloads_of
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.late import count_seconds, is_published_late
from skillrun.proof.judges.late_back import PASSED, find_kept_back
from skillrun.proof.judges.records import collect_templates
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unpromised import LEFT, is_turned_away
from skillrun.proof.reference import Reference, was_met
from skillrun.proof.result import OnProgress, Target, Tried
from skillrun.proof.rivals import read_contents
from skillrun.proof.schedule import ONCE, SWEEP, Schedule
from skillrun.proof.second_job import add_second_job
from skillrun.proof.secrets import find_addresses, find_secrets
from skillrun.proof.single import find_single_run_problem, is_same_run, run_singles
from skillrun.proof.uncalled_sweeps import find_uncalled
from skillrun.proof.varied import varied_payloads
from skillrun.proof.workplace import Workplace, raise_loss

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Where nobody has said how often a job is tried, no library's own default is endless: Dramatiq's is
# the highest.
_MOST_BY_DEFAULT = 21
# Beside the attempts: what the copies, deaths and returns of a schedule add, which take none.
_MORE_DELIVERIES = 6
# More than a day: most leases and sweeps are of minutes or hours.
_NEXT_DAY = ("wait=90000", "re-enqueue")
_MOST_SHOWN = 160  # characters of a message


def be_silent(what: str, done: int, of: int) -> None:
    """Tells nobody how far a proof is."""


class Session:
    """The workplaces of one proof, and what they have found so far."""

    def __init__(self, target: Target, progress: OnProgress, workers: int) -> None:
        self.target, self.progress, self.workers = target, progress, workers
        self.payloads = payloads_of(target.spec)
        self.stop_early = False
        self.refuted = False
        self.workplaces: list[Workplace] = []
        self.explorers: list[Explorer] = []
        self.same_places: dict[Explorer, bool] = {}
        # A zygote's watcher ends with the thread that started it (prctl PDEATHSIG): these live as
        # long as the session.
        self.threads = ThreadPoolExecutor(max_workers=max(workers - 1, 1))
        self.others: list[Future[Explorer]] = []
        self.beside: list[Future[None]] = []
        self.problems: list[Judgement] = []
        self.tried: dict[Schedule, Tried] = {}
        self.only: Schedule | None = None
        self.varied: Tried | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Removes all that the session has made. Where the proof was interrupted, the other threads
        are told to end first. Raises Blocked where a folder of it was gone by then.
        """
        if kind is not None:
            for workplace in self.workplaces:
                workplace.abandon()
        self.threads.shutdown(wait=False, cancel_futures=True)
        for future in self.beside:
            future.cancel()
        running: list[Future[Any]] = [*self.others, *self.beside]
        wait(running)
        try:
            raise_loss(self.workplaces, error)
        finally:
            for workplace in self.workplaces:
                workplace.close()
            self.threads.shutdown()

    # -- the beginning

    def begin_proof(self, only: Schedule | None) -> Explorer:
        """Sets up an explorer for each worker, and returns the first one. `only`: the schedule that
        somebody gives; it is run on that one alone.
        """
        self.only = only
        if only is None or only.varied:
            self.payloads |= varied_payloads(self.target.spec)
        if only is not None:
            check_given(only, self.target.spec, self.payloads)
        first: Future[Explorer] = Future()
        if only is None:
            for _ in range(1, self.workers):
                self.others.append(self.threads.submit(self.set_up_explorer, first))
        try:
            explorer = self.set_up_explorer()
        except BaseException as error:
            # The others wait for its messages.
            first.set_exception(error)
            raise
        first.set_result(explorer)
        return explorer

    def set_up_explorer(self, first: Future[Explorer] | None = None) -> Explorer:
        """Sets up an explorer with a workplace of its own. `first`: the one whose messages it takes
        over; None for the first itself.
        """
        target = self.target
        workplace = Workplace(target.spec, target.root, target.driver, target.paths)
        workplace.acks_late = target.acks_late
        self.workplaces.append(workplace)
        self.progress("setting up", 0, 0)
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace, limit=limit_deliveries(target.spec))
        if first is None:
            explorer.begin(self.payloads)
        else:
            workplace.zygote()
            explorer.begin_as(first.result())
        return explorer

    def learn_single_run(self, first: Explorer) -> None:
        """Runs the job by itself, and notes why that cannot be compared with, where it cannot."""
        self.explorers.append(first)
        self.payloads = first.payloads
        found, singles = run_singles(first, self.target.spec)
        if found.called and not found.jobs:
            # What another job works on is what the application's call writes for it.
            first.bring(tuple(sorted(found.called)))
            if first.brought:
                found, singles = run_singles(first, self.target.spec)
        found = add_second_job(first, self.target.spec, found)
        if self.only is not None:
            check_other_jobs(self.only, first.payloads)
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
        learned = first.learned
        given, secrets_of_rows = self.find_given_secrets(), tuple(self._list_secrets_of_rows())
        first.keep_learned(replace(learned, given=given, secrets=secrets_of_rows))
        for history in singles:
            self.keep_history(history, self.reference)
        self._check_single_run()

    def _find_missing_server(self) -> str:
        """The database server that the application has and the proof has not; "" where there is
        none.
        """
        proof = self.target.spec.proof
        if proof is not None and "postgresql" in proof.services:
            return ""
        return find_server(self.target.root)

    def _find_secrets(self, explorer: Explorer) -> tuple[dict[str, str], dict[str, str]]:
        """Secrets and addresses in the payloads, and in what the proof's stores hold before
        anything is delivered.
        """
        idempotency = self.target.spec.idempotency
        keys = (idempotency.key if idempotency else None) or ()
        explorer.workplace.restore()
        payloads, contents = list(self.payloads.values()), read_contents(explorer.store)
        return find_secrets(payloads, contents, keys), find_addresses(payloads, contents, keys)

    def _check_single_run(self) -> None:
        """Notes as a problem what is wrong with the single run."""
        problem = find_single_run_problem(self.reference)
        if problem:
            self.problems.append(Judgement(Verdict.INCOMPLETE, "single-run", problem))
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
        self.problems.append(Judgement(Verdict.INCOMPLETE, "enqueue.other-job", said))

    def is_refuted_early(self) -> bool:
        """Whether the first refutation is enough, and is there."""
        return self.stop_early and self.refuted

    def is_single_run_unfit(self) -> bool:
        """Whether the single run itself could not be used."""
        rules = {problem.rule for problem in self.problems}
        return not rules.isdisjoint(("single-run", "enqueue.other-job"))

    # -- running

    def run_on_all_workers(self, schedules: list[Schedule]) -> None:
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
                while not failed and not self.is_refuted_early():
                    with lock:
                        schedule = next(queue, None)
                    if schedule is None:
                        return
                    history, reference = self.run_schedule(explorer, schedule)
                    with lock:
                        self.keep_history(history, reference)
                        done += 1
                        self.progress(schedule.family, done, total)
            except BaseException as error:
                failed.append(error)
                raise

        def work_when_ready(other: Future[Explorer]) -> None:
            explorer = other.result()
            if self._is_same_place(explorer):
                work(explorer)

        others = [] if self.locks_what_is_shared() else self.others
        self.beside = [self.threads.submit(work_when_ready, other) for other in others]
        work(self.explorers[0])
        for thread in self.beside:
            thread.result()

    def locks_what_is_shared(self) -> bool:
        """Whether the job locks a file that is the same one in each workplace, such as the
        repository's folder: then one schedule is run after the other.
        """
        return bool(self.reference.once.all("locked"))

    def _is_same_place(self, explorer: Explorer) -> bool:
        """Whether the single run comes to the same in another explorer's place. Files are the first
        one's; a server's rows are what the setup has written there, and it may draw a key or note
        the time: then nothing that is run there could be compared.
        """
        if not explorer.workplace.servers:
            return True
        if explorer not in self.same_places:
            self._follow_first(explorer)
            self.same_places[explorer] = self._comes_to_the_same(explorer)
        return self.same_places[explorer]

    def _comes_to_the_same(self, explorer: Explorer) -> bool:
        """See `_is_same_place`: of the job, of the other jobs, and of the secrets in their rows."""
        known = self.reference
        if not is_same_run(explorer.run(ONCE), known):
            return False
        if self._find_secrets(explorer) != (known.secrets, known.addresses):
            return False
        for job, alone in known.jobs.items():
            other = replace(known, once=alone, later=None)
            if not is_same_run(explorer.run(Schedule("alone", moves=(f"job={job}",))), other):
                return False
        return True

    def _follow_first(self, explorer: Explorer) -> None:
        """Takes over what the first explorer has learned since, and what it has brought."""
        first = self.explorers[0]
        explorer.follow_clock(first)
        explorer.bring_as(first)
        explorer.call_again_as(first)
        explorer.keep_learned(first.learned)

    def run_schedule(self, explorer: Explorer, schedule: Schedule) -> tuple[History, Reference]:
        """Runs a schedule, and returns its history and what that is compared with."""
        self._follow_first(explorer)
        history = explorer.run(schedule)
        apart = explorer.run(schedule.apart) if schedule.same else None
        reference = self.reference
        if explorer.begins_with_second_call(schedule):
            reference = reference.in_second_world()
        reference = replace(reference, apart=apart)
        if schedule.outlasting is not None:
            in_time, unanswered = explorer.run(schedule.in_time), explorer.run(schedule.unanswered)
            reference = replace(reference, once=in_time, unanswered=unanswered)
        if schedule.family == "last-attempt-lost":
            done = explorer.run(Schedule("sweep", moves=(SWEEP,)))
            usual = frozenset(collect_templates(done.deliveries))
            reference = replace(reference, said_by_sweeps=usual)
        if is_published_late(history, reference):
            reference = replace(reference, as_due=_run_as_due(explorer, history, reference))
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
        undone = [one for one in judged if one.verdict == Verdict.REFUTED and one.rule in LEFT]
        if not undone:
            return reference
        moves = (*history.schedule.moves, *_NEXT_DAY)
        later = explorer.run(replace(history.schedule, moves=moves))
        return replace(reference, next_day=judge_history(later, reference))

    def _list_secrets_of_rows(self) -> Iterator[str]:
        """Yields the secrets of rows: a dead letter may hold those of its payload, to be played
        again.
        """
        for secret, name in self.reference.secrets.items():
            if "." in name:  # "members.card_token"
                yield secret

    def find_given_secrets(self) -> dict[str, str]:
        """Effect -> a secret that the single run calls it with."""
        given: dict[str, str] = {}
        for call in self.reference.once.performed():
            told = str(call["args"])
            for secret in self.reference.secrets:
                if secret in told:
                    given.setdefault(str(call["effect"]), secret)
        return given

    def judge_ages(self) -> None:
        """Judges anew how bad it is that an effect is repeated when a message comes back late: by
        now it was seen when the application itself keeps it back.
        """
        histories = [tried.history for tried in self.tried.values()]
        self.reference = replace(self.reference, kept_back=find_kept_back(histories))
        for schedule, tried in self.tried.items():
            if schedule.family != "late-back":
                continue
            kept = [one for one in tried.judgements if one.rule != PASSED]
            judged = judge_history(tried.history, self.reference)
            kept += [one for one in judged if one.rule == PASSED]
            self.tried[schedule] = replace(tried, judgements=tuple(kept))

    def keep_history(self, history: History, reference: Reference) -> None:
        """Judges a history, and keeps what the judges say beside it."""
        tried = Tried(history.schedule, history, judge_history(history, reference))
        if history.schedule.family == "varied":
            self.varied = tried
            return
        self.tried[history.schedule] = tried
        if was_met(history) and tried.list_judgements(Verdict.REFUTED):
            self.refuted = True


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


def _run_as_due(explorer: Explorer, history: History, reference: Reference) -> tuple[History, ...]:
    """See `Reference.as_due`."""
    seconds = count_seconds(history, reference)
    found = [explorer.run(Schedule("late", late=seconds))]
    if history.schedule.faults:
        found.append(explorer.run(replace(history.schedule, faults=())))
    return tuple(found)
