"""The refutations of a job's proof as a reader of a verification meets them: numbered steps, and
the command that shows them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skillrun.core.verdict import RiskGrade

# The proof's document holds no more refutations than that either.
MOST = 24
_TOLD = ("rule", "effect", "message", "cause", "expected", "seen", "schedule", "replay")
_OF_STEP = ("number", "at_s", "process", "text", "fault", "path", "line")


def list_stories(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Out of a proof.v1: each refutation, then each risk that keeps success away, as it happened.

    `grade` is None for a refutation, and what it would cost for a risk.
    """
    found = []
    for witness in report["witnesses"]:
        found.append(_tell(witness, None))
    for risk in report.get("risks", ()):
        if risk["grade"] and RiskGrade(risk["grade"]).keeps_success_away:
            found.append(_tell(risk, risk["grade"]))
    return found[:MOST]


def _tell(witness: Mapping[str, Any], grade: str | None) -> dict[str, Any]:
    steps = []
    for event in witness["events"]:
        steps.append({name: event[name] for name in _OF_STEP})
    return {"grade": grade, **{name: witness[name] for name in _TOLD}, "steps": steps}
