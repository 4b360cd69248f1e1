"""The report of one invocation as `schemas/report.v1.json` describes it: one JSON value for every
reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from skillrun.core.verdict import Finding, Severity, StageResult, Status
from skillrun.runner.coded import Recommendation
from skillrun.runner.conclude import CheckResult
from skillrun.runner.planned import Planned
from skillrun.runner.unproved import INCOMPLETE

SCHEMA_VERSION = 1


def stage_json(
    planned: Planned, result: StageResult, *, cached: bool, duration_ms: int, skill_file: str
) -> dict[str, Any]:
    """One stage of the report. `step` is the place in SKILL.md that it answers to."""
    return {
        "id": planned.stage.ID,
        "title": planned.stage.TITLE,
        "step": f"{skill_file}:{planned.line}" if planned.line else None,
        "status": result.status,
        "grade": result.grade,
        "stale": False,
        "cached": cached,
        "duration_ms": duration_ms,
        "summary": result.summary,
        "findings": [finding_json(finding) for finding in result.findings],
    }


def finding_json(finding: Any) -> dict[str, Any]:
    """rule, severity, message, path, line, hint."""
    value = asdict(finding)
    del value["recommends"]
    return value


def checks_json(checks: Iterable[CheckResult]) -> list[dict[str, Any]]:
    """The checks of the report."""
    return [
        {
            "id": c.id,
            "text": c.text,
            "status": c.status,
            "grade": c.grade,
            "evidence": list(c.evidence),
        }
        for c in checks
    ]


def recommendations_json(recommendations: Iterable[Recommendation]) -> list[dict[str, Any]]:
    """The recommendations of the report."""
    return [asdict(recommendation) for recommendation in recommendations]


def next_json(
    results: Mapping[str, StageResult], checks: Iterable[CheckResult], open_stages: set[str]
) -> list[dict[str, Any]]:
    """Everything to do next: the actions of open stages, checks nobody has attested, and last the
    warnings.
    """
    actions = [
        asdict(action)
        for stage, result in results.items()
        if stage in open_stages
        for action in result.next
    ]
    actions += [{"stage": c.id, "action": "attest", "detail": c.next} for c in checks if c.next]
    for stage, result in results.items():
        for finding in _to_consider(result):
            detail = f"{finding.message}: {finding.hint}"
            actions.append({"stage": stage, "action": "consider", "detail": detail})
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    for action in actions:
        first.setdefault(_sameness(action), action)
    return list(first.values())


def _to_consider(result: StageResult) -> Iterator[Finding]:
    """Warnings that say what to do; not what keeps a proof from its end, which is a step of its
    own.
    """
    for finding in result.findings:
        is_step = result.status == Status.PENDING and finding.rule == INCOMPLETE
        if finding.severity == Severity.WARNING and finding.hint and not is_step:
            yield finding


def _sameness(action: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes two actions one. What a proof lacks keeps several stages pending, and is said of
    the first.
    """
    stage = "" if action["action"] == "prove" else action["stage"]
    return stage, action["action"], action["detail"]
