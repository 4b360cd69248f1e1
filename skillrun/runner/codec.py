"""Stage results as JSON values and back: what the ledger keeps of a stage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from skillrun.core.verdict import (
    Action,
    Evidence,
    Finding,
    Grade,
    Risk,
    RiskGrade,
    Severity,
    StageResult,
    Status,
)


def result_json(result: StageResult) -> dict[str, Any]:
    """The JSON value of a result."""
    return asdict(result)


def result_of(value: dict[str, Any]) -> StageResult:
    """The result that `result_json` wrote."""
    return StageResult(
        status=Status(value["status"]),
        grade=Grade(value["grade"]) if value["grade"] else None,
        findings=tuple(
            Finding(**{**f, "severity": Severity(f["severity"])}) for f in value["findings"]
        ),
        evidence=tuple(Evidence(**item) for item in value["evidence"]),
        next=tuple(Action(**action) for action in value["next"]),
        summary=value["summary"],
        facts=value["facts"],
        # What an older skillrun has recorded has none.
        risks=tuple(_risk_of(risk) for risk in value.get("risks", ())),
    )


def _risk_of(value: dict[str, Any]) -> Risk:
    return Risk(**{**value, "grade": RiskGrade(value["grade"])})
