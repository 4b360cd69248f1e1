"""`skillrun prove --all`: every job without a spec, one line each, the worst first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked, Misuse, SkillrunError
from skillrun.core.tally import risk_words
from skillrun.core.text import masked, visible

if TYPE_CHECKING:
    from skillrun.reports.lines import Line
    from skillrun.reports.watchers import Silent

_ORDER = ("refuted", "incomplete", "blocked", "proved")
_STYLES = {"proved": "passed", "refuted": "failed", "incomplete": "blocked", "blocked": "blocked"}
_LONGEST = 160  # characters of what is said of one job


@dataclass(frozen=True)
class Answer:
    """What became of one job. `verdict`: that of its proof, or blocked where there was none."""

    handler: str
    verdict: str
    says: str


def prove_all(repo: Path, trust: bool) -> int:
    """Prints the jobs as they begin, and a line of each at the end; exits as the worst one."""
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.reports.watchers import watcher_for

    watcher = watcher_for(json=False)
    rows = open_reader(repo).read().rows
    handlers = [row.job.handler.import_path for row in rows if row.spec_path is None]
    if not handlers:
        raise Blocked("there is no job without a spec here", hint="skillrun jobs lists all jobs")
    answers: list[Answer] = []
    for number, handler in enumerate(handlers, 1):
        watcher.show(_write_line(f"{number} of {len(handlers)}: {handler}"))
        answers.append(_prove_job(repo, handler, watcher, trust))
    answers.sort(key=lambda answer: _ORDER.index(answer.verdict))
    for answer in answers:
        watcher.show(_write_answer(answer))
    return _choose_exit_code(answers[0].verdict)


def check_alone(*others: object) -> None:
    """Raises Misuse where something that is about one job is asked of all."""
    if any(others):
        raise Misuse(
            "--all takes every job as it is",
            hint="leave out HANDLER, --json, and whatever is about one spec or one schedule",
        )


def _prove_job(repo: Path, handler: str, watcher: Silent, trust: bool) -> Answer:
    from skillrun.cli.commands.case import open_case
    from skillrun.cli.commands.drafts import draft_for
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.skills.job_worker.stages.proving import proof_target

    try:
        drafted = draft_for(repo, handler, watcher, trust)
        target = replace(
            proof_target(open_case(repo, drafted.path, {})), unpromised=drafted.unpromised
        )
        report = proof_report(try_prove(target), target)
    except SkillrunError as error:
        return Answer(handler, "blocked", str(error))
    said = risk_words(report.get("risks", ())).removeprefix("; ")
    for finding in (*report["incomplete"][:1], *report["witnesses"][:1]):
        said = str(finding["message"])
    return Answer(handler, report["verdict"], said)


def _choose_exit_code(verdict: str) -> int:
    from skillrun.cli.commands.prove import EXIT_CODES

    return EXIT_CODES.get(verdict, 3)


def _write_answer(answer: Answer) -> Line:
    from skillrun.reports.lines import line

    said = visible(masked(answer.says), limit=_LONGEST)
    style = _STYLES[answer.verdict]
    return line(
        0, (style, f"{answer.verdict:<11}"), ("", answer.handler), ("dim", f"  {said}"), hang=11
    )


def _write_line(text: str) -> Line:
    from skillrun.reports.lines import line

    return line(0, ("dim", text))
