"""A verification as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from skillrun.core.tally import outcome_line, sum_reports
from skillrun.reports.lines import Line, finding_lines, line, stage_lines
from skillrun.wall.formats.uncompared import list_uncompared
from skillrun.wall.known_debt import tell_debt
from skillrun.wall.verification import KNOWN, SUCCESS, Job, Proof, Tests, Verification

_REASONS = {
    "partial": (
        "something is failed, pending or waived, a risk of money or a lost job is not accepted, or"
        " evidence was taken away"
    ),
    "blocked": "a decision, an input or the work is missing",
    "refused": "a job could not be run at all",
}
STYLES = {
    "success": "passed",
    "known": "waived",
    "partial": "failed",
    "blocked": "blocked",
    "refused": "failed",
}

_OF_CAUSES = {"new": "failed", "known": "waived", "paid off": "passed"}


def text(verification: Verification) -> str:
    """The lines as one text."""
    return "".join(f"{shown.text.rstrip()}\n" for shown in lines(verification))


def lines(verification: Verification) -> Iterator[Line]:
    """What was verified, each job, what the changes do to the evidence, notes, and the outcome."""
    branch = f" of {verification.branch}" if verification.branch else ""
    commit = f"commit {verification.commit[:12]}{branch}"
    yield line(0, ("bold", commit), ("dim", ", in a clean checkout"))
    for job in verification.jobs:
        yield from _job_lines(job)
    yield from _gaming_lines(verification)
    if verification.tests is not None:
        yield from _tests_lines(verification.tests)
    for note in verification.notes:
        yield line(0, ("dim", f"note: {note}"))
    yield line(0)
    seconds = verification.duration_ms / 1000
    said = (STYLES[verification.outcome], _last_line(verification))
    yield line(0, said, ("dim", f"  ({seconds:.1f}s)"))


def _last_line(verification: Verification) -> str:
    """E.g. `success: 4 proved (276 schedules), 2 executed, 3 read`, of all jobs together. Behind
    any other outcome stands what it means.
    """
    outcome = verification.outcome
    counted = outcome_line(sum_reports(outcome, [job.report for job in verification.jobs]))
    if outcome == SUCCESS:
        return counted
    # What is known is refuted all the same: the counts say so, and this why it fails nothing.
    reason = f"no new causes, {verification.known} known at the base"
    if outcome != KNOWN:
        reason = _REASONS[outcome]
    joint = ";"
    if counted == outcome:
        joint = ":"
    return f"{counted}{joint} {reason}"


def _job_lines(job: Job) -> Iterator[Line]:
    yield line(0)
    said = outcome_line(job.report) if job.report else job.outcome
    outcome = (STYLES[job.outcome], said)
    yield line(0, ("bold", f"job {job.name}"), ("dim", f"  {job.spec}  "), outcome)
    if job.problem is not None:
        for problem in job.problem.splitlines():
            yield line(2, ("failed", f"refused: {problem}"))
        if job.hint:
            yield line(4, ("dim", f"do: {job.hint}"))
    for stage in job.stages:
        yield from stage_lines(stage)
    for check in job.checks:
        if check["status"] not in ("passed", "not_applicable"):
            yield line(
                2, (check["status"], f"{check['status']:<8} "), ("", f"check: {check['text']}")
            )
    if job.proof is not None:
        yield from _proof_lines(job.proof)
    for said in list_uncompared([asdict(one) for one in job.not_compared]):
        yield line(2, ("waived", "not compared with the base: "), ("", said))
    if job.compared is not None:
        for word, cause in tell_debt(job.compared):
            yield line(2, (_OF_CAUSES[word], f"{word:<8} "), ("", cause))


def _proof_lines(proof: Proof) -> Iterator[Line]:
    """Nothing where all is proved: the stages say so."""
    for finding in proof.findings:
        yield from finding_lines(asdict(finding), indent=2)
    base = proof.base
    if base is not None:
        took = f"  ({base.duration_ms / 1000:.1f}s)"
        yield line(2, ("dim", f"the base at {base.commit[:12]}: {base.verdict}{took}"))


def _tests_lines(tests: Tests) -> Iterator[Line]:
    yield line(0)
    if tests.head is None or tests.base is None:
        yield line(0, ("bold", "tests"), ("dim", f"  not counted: {tests.missing}"))
        yield from _list_findings(tests)
        return
    head, base = tests.head, tests.base
    took = f"  ({(head.duration_ms + base.duration_ms) / 1000:.1f}s)"
    counts = (
        f"  {head.collected} collected at HEAD, {head.passed} of them passed; {base.collected} at"
        " the base"
    )
    yield line(0, ("bold", "tests"), ("", counts), ("dim", took))
    yield from _list_findings(tests)


def _list_findings(tests: Tests) -> Iterator[Line]:
    for finding in tests.findings:
        yield from finding_lines(asdict(finding), indent=2)


def _gaming_lines(verification: Verification) -> Iterator[Line]:
    gaming = verification.gaming
    yield line(0)
    if gaming.base is not None:
        against = f"  against {gaming.base_name} at {gaming.base[:12]}"
        yield line(0, ("bold", "changes"), ("dim", against))
    else:
        yield line(0, ("bold", "changes"), ("blocked", "  not looked at"))
    for finding in gaming.all_findings:
        yield from finding_lines(asdict(finding), indent=2)
    if gaming.base is not None and not gaming.all_findings:
        yield line(
            2,
            ("passed", "no change takes evidence away"),
            ("dim", f"  ({len(gaming.looks)} looks)"),
        )
