"""A stage that waits for nothing but its proof."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from skillrun.core.verdict import Action, Finding, Severity, StageResult, Status
from skillrun.runner.findings import is_not_read

PROOF_RULE = "proof."
"""How the rule of a finding begins that comes of a proof."""

NOT_ASKED, NOT_POSSIBLE = "proof.not-asked", "proof.not-possible"
INCOMPLETE = "proof.incomplete"

DISAGREEMENTS = "disagreements"
"""The fact of a stage that says what was read and then shown to be wrong by the proof."""


def as_unproved(
    stage: str, result: StageResult, said: Iterable[Finding], action: str
) -> StageResult:
    """A stage that was read alone though the spec asks for a proof: it is pending, and what to do
    is its next step.

    It is not settled: what is missing may be a server, or somebody's consent, which no file shows.
    """
    findings = tuple(said)
    steps = tuple(Action(stage, action, _name_step(finding)) for finding in findings)
    return replace(
        result,
        status=Status.PENDING,
        grade=None,
        findings=(*result.findings, *findings),
        next=(*result.next, *steps),
        facts={**result.facts, "unproved": True, "settled": False},
    )


def leave_unproved(
    stage: str, result: StageResult, said: Iterable[Finding], action: str
) -> StageResult:
    """The same, but that a stage stays failed or blocked by what was read for certain: no proof has
    said otherwise.
    """
    unproved = as_unproved(stage, result, said, action)
    if result.status in (Status.FAILED, Status.BLOCKED):
        return replace(unproved, status=result.status, grade=result.grade)
    return unproved


def fails_by_proof_alone(result: StageResult) -> bool:
    """Whether a stage has failed, and nothing that was read or run says so."""
    for finding in result.findings:
        is_wrong = finding.severity in (Severity.BLOCKER, Severity.ERROR)
        if is_wrong and not finding.rule.startswith(PROOF_RULE):
            return False
    return result.status == Status.FAILED


def has_not_read(result: StageResult) -> bool:
    """Whether a stage rests on something that could not be read, and that no proof has answered."""
    return any(is_not_read(finding) for finding in result.findings)


def as_not_read(stage: str, result: StageResult) -> StageResult:
    """A stage with such a question is neither passed nor failed until it is answered."""
    asked = []
    for finding in result.findings:
        if is_not_read(finding):
            asked.append(finding)
    steps = tuple(Action(stage, "prove", _name_step(finding)) for finding in asked)
    return replace(
        result,
        status=Status.PENDING,
        grade=None,
        next=(*result.next, *steps),
        facts={**result.facts, "unproved": True, "settled": False},
    )


def _name_step(finding: Finding) -> str:
    if finding.hint:
        return f"{finding.message}; {finding.hint}"
    return finding.message


def is_unproved(result: StageResult) -> bool:
    """Whether a stage waits for nothing but its proof: it reads clean, and the stages after it can
    be examined.
    """
    return result.status == Status.PENDING and bool(result.facts.get("unproved"))
