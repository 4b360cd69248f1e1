"""`skillrun prove --all`: every job without a spec, one line each, the worst first; or one question
about each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import print_json
from skillrun.core.errors import Blocked, Misuse, SkillrunError
from skillrun.core.tally import risk_words
from skillrun.core.text import masked, visible
from skillrun.proof.judgement import Verdict

if TYPE_CHECKING:
    from skillrun.reports.lines import Line
    from skillrun.reports.watchers import Silent

# Verdicts, and the answers of --acks-late.
_ORDER = (
    *(Verdict.REFUTED, "no", Verdict.INCOMPLETE, "unknown", "blocked"),
    *(Verdict.PROVED, "already", "yes"),
)
_ASKED = {False: "all", True: "acks_late"}
_STYLES = {0: "passed", 1: "failed", 3: "blocked"}
_GOOD, _BAD = (Verdict.PROVED, "already", "yes"), (Verdict.REFUTED, "no")
_LONGEST = 160  # characters of what is said of one job


@dataclass(frozen=True)
class Answer:
    """What became of one job. `word`: the verdict of its proof, the answer to the one question, or
    blocked where there was no proof.
    """

    handler: str
    word: str
    says: str
    report: dict[str, Any] | None  # proof.v1

    def document(self) -> dict[str, Any]:
        """As proofs.v1 has it."""
        said = visible(masked(self.says), limit=_LONGEST)
        return {"handler": self.handler, "is": self.word, "says": said, "proof": self.report}


def prove_all(repo: Path, trust: bool, *, acks_late: bool, json: bool) -> int:
    """Prints the jobs as they begin, and a line of each at the end; exits as the worst one."""
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.reports.watchers import watcher_for

    watcher = watcher_for(json=json)
    rows = open_reader(repo).read().rows
    handlers = []
    for row in rows:
        if row.spec_path is None:
            handlers.append(row.job.handler.import_path)
    if not handlers:
        raise Blocked("there is no job without a spec here", hint="skillrun jobs lists all jobs")
    answers: list[Answer] = []
    for number, handler in enumerate(handlers, 1):
        if not json:
            watcher.show(_write_line(f"{number} of {len(handlers)}: {handler}"))
        answers.append(_prove_job(repo, handler, watcher, trust, acks_late=acks_late))
    answers.sort(key=lambda answer: _ORDER.index(answer.word))
    if json:
        jobs = [answer.document() for answer in answers]
        print_json({"schema_version": 1, "asked": _ASKED[acks_late], "jobs": jobs})
    else:
        for answer in answers:
            watcher.show(_write_answer(answer))
    return _choose_exit_code(answers[0].word)


def check_alone(*others: object) -> None:
    """Raises Misuse where something that is about one job is asked of all."""
    if any(others):
        raise Misuse(
            "--all takes every job as it is",
            hint="leave out HANDLER, and whatever is about one spec or one schedule",
        )


def _prove_job(
    repo: Path, handler: str, watcher: Silent, trust: bool, *, acks_late: bool
) -> Answer:
    from skillrun.cli.commands.case import open_case
    from skillrun.cli.commands.drafts import draft_for
    from skillrun.proof.acks_late import answer_acks_late, suppose_acks_late
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.skills.job_worker.proving.proof_targets import proof_target

    try:
        drafted = draft_for(repo, handler, watcher, trust)
        target = drafted.limit(proof_target(open_case(repo, drafted.path, {})))
        if acks_late:
            target = suppose_acks_late(target)
        proof = try_prove(target)
        report = {**proof_report(proof, target), "drafted": drafted.document()}
    except SkillrunError as error:
        return Answer(handler, "blocked", str(error), None)
    if not acks_late:
        drafted.keep_verdict(report["verdict"])
    if acks_late:
        answer = answer_acks_late(proof, is_agreed=False)
        report["acks_late"] = answer.document()
        return Answer(handler, answer.word, answer.says, report)
    said = risk_words(report.get("risks", ())).removeprefix("; ")
    for finding in (*report["incomplete"][:1], *report["witnesses"][:1]):
        said = str(finding["message"])
    return Answer(handler, report["verdict"], said, report)


def _choose_exit_code(word: str) -> int:
    if word in _GOOD:
        return 0
    if word in _BAD:
        return 1
    return 3


def _write_answer(answer: Answer) -> Line:
    from skillrun.reports.lines import line

    said = visible(masked(answer.says), limit=_LONGEST)
    style = _STYLES[_choose_exit_code(answer.word)]
    return line(
        0, (style, f"{answer.word:<11}"), ("", answer.handler), ("dim", f"  {said}"), hang=11
    )


def _write_line(text: str) -> Line:
    from skillrun.reports.lines import line

    return line(0, ("dim", text))
