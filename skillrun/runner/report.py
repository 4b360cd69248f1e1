"""The report of one invocation as `schemas/report.v1.json` describes it: one JSON value for every
reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from skillrun.core.verdict import Finding, RiskGrade, Severity, StageResult, Status
from skillrun.runner.coded import Recommendation
from skillrun.runner.conclude import CheckResult
from skillrun.runner.planned import Planned
from skillrun.runner.unproved import DISAGREEMENTS, INCOMPLETE

SCHEMA_VERSION = 1


def stage_json(
    planned: Planned, result: StageResult, *, cached: bool, duration_ms: int, skill_file: str
) -> dict[str, Any]:
    """One stage of the report. `step` is the place in SKILL.md that it answers to."""
    shown = {
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
    disagreements = result.facts.get(DISAGREEMENTS)
    if disagreements:
        shown[DISAGREEMENTS] = disagreements
    return shown


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


# Risks among what is to be done next, the worst first.
_MOST_CONSIDERED = 2

RISK_RULE = "risk."
"""How the rule of a finding begins that tells of a risk."""


def risks_json(
    results: Mapping[str, StageResult], reasons: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The risks of all stages, each once and the worst first. `reasons`: name of an accepted one ->
    why.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for stage, result in results.items():
        for risk in result.risks:
            told = {**asdict(risk), "stage": stage, "accepted": reasons.get(risk.rule)}
            found.setdefault((risk.rule, risk.message), told)
    return sorted(found.values(), key=lambda risk: list(RiskGrade).index(risk["grade"]))


def is_open(risk: Mapping[str, Any]) -> bool:
    """Whether a risk of the report keeps success away."""
    return risk["accepted"] is None and RiskGrade(risk["grade"]).keeps_success_away


def _act_on_risks(risks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """How to close each that nobody has accepted: to accept it is nobody's work."""
    for risk in risks:
        if risk["accepted"] is None:
            action = "consider"
            if is_open(risk):
                action = "edit-code"
            detail = f"{risk['grade']}: {risk['message']}: {risk['closes']}"
            yield {"stage": risk["stage"], "action": action, "detail": detail}


def next_json(
    results: Mapping[str, StageResult],
    checks: Iterable[CheckResult],
    open_stages: set[str],
    risks: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Everything to do next: the actions of open stages, risks that keep success away, checks
    nobody has attested, and last the other risks and the warnings.
    """
    urgent, considered = [], []
    for action in _act_on_risks(risks):
        if action["action"] == "consider":
            considered.append(action)
        else:
            urgent.append(action)
    actions = []
    for stage, result in results.items():
        if stage in open_stages:
            actions += [asdict(action) for action in result.next]
    actions += [*urgent, *_act_on_checks(checks), *_cut_considered(considered)]
    actions += _act_on_warnings(results)
    # What two stages ask for alike is done once, and stands where it was asked for first.
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    for action in actions:
        first.setdefault(_tell_apart(action), action)
    return list(first.values())


def _act_on_checks(checks: Iterable[CheckResult]) -> Iterator[dict[str, Any]]:
    """How to attest each that nobody has attested."""
    for check in checks:
        if check.next:
            yield {"stage": check.id, "action": "attest", "detail": check.next}


def _cut_considered(considered: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first of what may be considered, and how many there are besides."""
    yield from considered[:_MOST_CONSIDERED]
    if len(considered) > _MOST_CONSIDERED:
        yield _count_others(considered[_MOST_CONSIDERED:])


def _act_on_warnings(results: Mapping[str, StageResult]) -> Iterator[dict[str, Any]]:
    """Those of every stage, also of one that has passed."""
    for stage, result in results.items():
        for finding in _to_consider(result):
            detail = f"{finding.message}: {finding.hint}"
            yield {"stage": stage, "action": "consider", "detail": detail}


def _count_others(considered: list[dict[str, Any]]) -> dict[str, Any]:
    """Less is read where more is said: the others are counted."""
    count = len(considered)
    others = "one more risk"
    if count != 1:
        others = f"{count} more risks"
    return {
        "stage": considered[0]["stage"],
        "action": "consider",
        "detail": f"{others} that keep no success away: skillrun prove tells them",
    }


def _to_consider(result: StageResult) -> Iterator[Finding]:
    """Warnings that say what to do; not what keeps a proof from its end, which is a step of its
    own, nor a risk, which may be accepted.
    """
    for finding in result.findings:
        if finding.rule.startswith(RISK_RULE):
            continue
        is_step = result.status == Status.PENDING and finding.rule == INCOMPLETE
        if finding.severity == Severity.WARNING and finding.hint and not is_step:
            yield finding


def _tell_apart(action: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes two actions one. What a proof lacks keeps several stages pending, and is said of
    the first.
    """
    stage = ""
    if action["action"] != "prove":
        stage = action["stage"]
    return stage, action["action"], action["detail"]
