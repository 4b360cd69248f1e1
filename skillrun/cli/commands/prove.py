"""`skillrun prove`: runs the job's handler under faults and says what happened."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.case import open_case
from skillrun.cli.commands.common import pairs, print_json
from skillrun.cli.commands.prove_statement import (
    check_new_file,
    check_whole,
    require_commit,
    write_statement,
)
from skillrun.cli.commands.signals import ended_by_signals
from skillrun.core.errors import Blocked, Misuse
from skillrun.proof.acks_late import EXIT_CODES as ACKS_LATE_CODES
from skillrun.proof.acks_late import answer_acks_late, suppose_acks_late
from skillrun.proof.judgement import HOLDS, Verdict

if TYPE_CHECKING:
    from skillrun.cli.commands.drafts import Drafted
    from skillrun.proof.result import OnProgress, Proof, Target
    from skillrun.reports.watchers import Silent
    from skillrun.skills.job_worker.job_case import JobCase

EXIT_CODES = {Verdict.PROVED: 0, HOLDS: 0, Verdict.REFUTED: 1, Verdict.INCOMPLETE: 3}


@dataclass(frozen=True)
class Asked:
    """What of a proof is wanted."""

    schedule: str | None = None
    pytest_file: Path | None = None
    listing: bool = False
    confirm: bool = False
    verbose: bool = False
    acks_late: bool = False  # only whether its library may acknowledge it once it is done
    intoto: Path | None = None  # where the whole proof is stated about its commit


def prove(
    repo: Path,
    spec: Path | None,
    set_: list[str],
    asked: Asked,
    trust: bool,
    json: bool,
    *,
    handler: str | None = None,
) -> int:
    """Proves, replays one schedule, or lists what there is to replay; the exit code says the
    verdict. `handler`: a job without a spec, whose draft is proved.
    """
    from skillrun.reports.watchers import watcher_for

    _check_options(asked, set_, handler)
    if handler is not None and spec is not None:
        raise Misuse("HANDLER and --spec: which of them?", hint="leave one of them out")
    if asked.pytest_file is not None:
        _finish_writing(repo)
    watcher = watcher_for(json=json)
    options = _repeat_options(repo, spec, set_)
    drafted = None
    if handler is not None:
        from skillrun.cli.commands.drafts import draft_for

        drafted = draft_for(repo, handler, watcher, trust, pairs("--set", set_))
        spec, options = drafted.path, f" {shlex.quote(handler)}{options}"
    case = open_case(repo, spec, pairs("--set", set_))
    target = _make_target(case, asked, drafted)
    options += " --acks-late" * asked.acks_late
    if asked.intoto is not None:
        require_commit(case.repo, target)
    ask_to_prove(case, target, watcher, trust)
    with ended_by_signals(), _make_progress(json=json) as progress:
        proof = _run_proof(target, asked.schedule, asked.listing, progress)
        if asked.confirm and not asked.listing:
            _confirm_proof(proof, target, asked.schedule, progress)
    if asked.listing and proof.reference is not None:
        _show_plan(proof, target, watcher, json)
        return 0
    report = _make_report(proof, target, options, asked, drafted)
    if json:
        print_json(report)
    else:
        _show_report(report, options, watcher, asked)
    _write_files(report, proof, target, case, asked, json)
    return _choose_exit_code(report)


def _make_target(case: JobCase, asked: Asked, drafted: Drafted | None) -> Target:
    from skillrun.skills.job_worker.proving.proof_targets import proof_target

    target = proof_target(case)
    if drafted is not None:
        target = drafted.limit(target)
    if asked.acks_late:
        target = suppose_acks_late(target)
    return target


def _make_report(
    proof: Proof, target: Target, options: str, asked: Asked, drafted: Drafted | None
) -> dict[str, Any]:
    from skillrun.proof.report import proof_report

    report = proof_report(proof, target, options, asked.schedule)
    if drafted is not None:
        report["drafted"] = drafted.document()
        if asked.schedule is None and not asked.acks_late:
            drafted.keep_verdict(report["verdict"])
    if asked.acks_late and asked.schedule is None:
        answer = answer_acks_late(proof, is_agreed=drafted is None)
        report["acks_late"] = answer.document()
    return report


def _choose_exit_code(report: dict[str, Any]) -> int:
    """That of the one question, where it was asked and has an answer of its own."""
    answer = report.get("acks_late", {}).get("answer")
    return ACKS_LATE_CODES.get(answer, EXIT_CODES[report["verdict"]])


def _finish_writing(repo: Path) -> None:
    """Before files are read beside which one is written: what a write that died has left is
    finished.
    """
    from skillrun.repo.git import open_to_write

    open_to_write(repo)


def _check_options(asked: Asked, set_: list[str], handler: str | None) -> None:
    from skillrun.proof.schedule import parse_schedule

    schedule, pytest_file, listing = asked.schedule, asked.pytest_file, asked.listing
    if asked.intoto is not None:
        check_whole(asked.intoto, (set_, handler, schedule, listing, asked.acks_late))
    if asked.acks_late and (asked.confirm or listing or pytest_file):
        hint = "leave out --confirm, --list and --pytest"
        raise Misuse("--acks-late answers one question", hint=hint)
    if schedule is not None:
        parse_schedule(schedule)
    if listing and (schedule or pytest_file):
        raise Misuse("--list runs no schedule", hint="leave out --schedule and --pytest")
    if pytest_file is not None:
        check_new_file("--pytest", pytest_file)
        _check_set_for_test(set_, handler)


def _check_set_for_test(set_: list[str], handler: str | None) -> None:
    """Raises Misuse for a part of a draft that a written test would not know. It runs in the
    interpreter of the tests, whatever proof.python says.
    """
    if handler is None:
        return
    for name in pairs("--set", set_):
        if name != "proof.python":
            hint = f"write a spec that says it: skillrun spec init --from {handler}"
            raise Misuse(f"--set {name}: a test without a spec cannot say it", hint=hint)


def ask_to_prove(case: JobCase, target: Target, watcher: Silent, trust: bool) -> None:
    """Raises Blocked where nobody has allowed code of this working tree to run."""
    from skillrun.runner.case import AGREE
    from skillrun.skills.job_worker.proving.proof_targets import consent_plan
    from skillrun.validations.consent import Gate

    plan = consent_plan(target)
    if Gate(case.repo, trust, watcher).allows(plan):
        return
    lines = "".join(f"\n  {command}" for command in plan.shown)
    raise Blocked(f"not allowed yet to {plan.purpose}; it would run:{lines}", hint=AGREE)


def _run_proof(target: Target, schedule: str | None, listing: bool, progress: OnProgress) -> Proof:
    from skillrun.proof.attempt import try_look, try_prove

    if listing:
        return try_look(target, progress=progress)
    return try_prove(target, only=schedule, progress=progress)


def _confirm_proof(
    proof: Proof, target: Target, schedule: str | None, progress: OnProgress
) -> None:
    """With a real worker; where it does otherwise, or nothing could be tried with it, nothing is
    proved.
    """
    from skillrun.proof.confirm.compare import confirm, find_untried, judge_differences

    proof.confirmed = confirm(proof, target, progress, schedule)
    against = judge_differences(proof.confirmed) + find_untried(proof.confirmed)
    proof.incomplete += against
    if proof.verdict is Verdict.PROVED and against:
        proof.verdict = Verdict.INCOMPLETE


def _repeat_options(repo: Path, spec: Path | None, set_: list[str]) -> str:
    """What a replay needs on its command line to find the same job."""
    words = []
    if spec is not None:
        words = ["--spec", str(spec)]
    if repo != Path():
        words += ["--repo", str(repo)]
    for pair in set_:
        for word in ("--set", pair):
            words.append(word)
    if not words:
        return ""
    return f" {shlex.join(words)}"


def _show_report(report: dict[str, Any], options: str, watcher: Silent, asked: Asked) -> None:
    """One screen; a schedule that was given is a story to be read whole."""
    from skillrun.reports.proof_screen import screen_lines
    from skillrun.reports.proofs import proof_lines

    if asked.verbose or asked.schedule is not None:
        lines = proof_lines(report)
    else:
        guesses = report.get("drafted", {}).get("guesses", ())
        lines = screen_lines(report, f"skillrun prove{options}", guesses)
    for shown in lines:
        watcher.show(shown)


def _show_plan(proof: Proof, target: Target, watcher: Silent, json: bool) -> None:
    from skillrun.proof.report import plan_report
    from skillrun.reports.proofs import plan_lines

    report = plan_report(proof, target)
    if json:
        print_json(report)
    else:
        for shown in plan_lines(report):
            watcher.show(shown)


def _write_files(
    report: dict[str, Any], proof: Proof, target: Target, case: JobCase, asked: Asked, json: bool
) -> None:
    """The statement and the test, where they were asked for. The test is a new file that no commit
    holds, so it comes after, and also where there can be no statement.
    """
    try:
        if asked.intoto is not None:
            _tell_written(write_statement(asked.intoto, report, proof, target, case.repo), json)
    finally:
        if asked.pytest_file is not None:
            _write_test(report, target, case, asked.pytest_file, json)


def _write_test(
    report: dict[str, Any], target: Target, case: JobCase, file: Path, json: bool
) -> None:
    """Writes the first witness that has a schedule as a regression test."""
    from skillrun.proof.export import write_test

    is_drafted = "drafted" in report
    _tell_written(write_test(report, target, case.root, file, is_drafted=is_drafted), json)


def _tell_written(said: str, json: bool) -> None:
    """On stderr where standard output is one document."""
    from skillrun.reports.watchers import show

    if json:
        print(said, file=sys.stderr)
    else:
        show(said)


# -- while it runs


@contextmanager
def _make_progress(*, json: bool) -> Iterator[OnProgress]:
    """A bar over the schedules on a terminal, a few plain lines on a pipe, nothing with --json."""
    from skillrun.reports.watchers import at_terminal, progress_fd, tell

    fd = None
    if json:
        fd = progress_fd()
    if fd is not None:
        yield lambda what, done, of: tell(fd, done, of, what)
    elif json:
        yield lambda what, done, of: None
    elif not at_terminal():
        yield _plain_progress()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(
            *columns, console=Console(highlight=False, markup=False, emoji=False), transient=True
        ) as bar:
            task = bar.add_task("setting up", total=None)
            yield lambda what, done, of: bar.update(
                task, description=what, completed=done, total=of or None
            )


def _plain_progress() -> OnProgress:
    """A line at the beginning and at each quarter of what is known to come."""
    from skillrun.reports.watchers import show

    said: set[str] = set()

    def tell(what: str, done: int, of: int) -> None:
        is_due = not of or done == of or done % max(of // 4, 1) == 0
        if of:
            text = f"{done} of {of} schedules"
        else:
            text = what
        if is_due and text not in said:
            said.add(text)
            show(text)

    return tell
