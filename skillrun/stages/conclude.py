"""After the stages: the skill's checks, one by one, and the other skills that the work calls
for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.stages.declared import DeclaredStage, slug
from skillrun.stages.interface import Case, wording
from skillrun.stages.registry import STAGES
from skillrun.verdict import Finding, Grade, StageResult, Status, weakest

if TYPE_CHECKING:
    from skillrun.contract.skill import Check, Skill

STATE_MACHINE = "system/state-machine-mapper"


@dataclass(frozen=True)
class CheckRule:
    """A check that code answers to: by its wording, from these stages."""

    id: str
    text: str
    answers: re.Pattern[str]
    stages: tuple[str, ...]
    proved_by: tuple[
        str, ...
    ] = ()  # where these are proved, the check is: the proof ran what the others read


CHECKS: dict[str, tuple[CheckRule, ...]] = {
    "job-worker-orchestration": (
        CheckRule(
            "idempotency-explicit",
            "Idempotency is explicit and correct for all side effects",
            wording(r"\bidempoten"),
            ("contract", "idempotency", "handler"),
            proved_by=("idempotency",),
        ),
        CheckRule(
            "permanent-failures-end",
            "Permanent failures do not loop forever",
            wording(r"\bpermanent|\bloops?\b|\bdead[- ]?letter"),
            ("retry", "dead-letter"),
        ),
        CheckRule(
            "retry-bounded",
            "Retry and backoff are bounded and safe",
            wording(
                r"\b(retr(y|ies)|backoff)\b.*\b(bounded|safe|limit\w*)|\b(bounded|limited)\b.*\bretr"
            ),
            ("retry",),
        ),
        CheckRule(
            "observable",
            "Observability answers the four questions",
            wording(r"\bobservab|\blogs?\b"),
            ("observability",),
        ),
        CheckRule(
            "tests-cover",
            "Tests cover the happy path, a retryable and a terminal failure",
            wording(r"\btests?\b.*\bcover|\bcovered by .*\btests?\b"),
            ("tests",),
        ),
        CheckRule(
            "validations-pass",
            "Typecheck, lint and tests pass if configured",
            wording(r"\b(type[- ]?check\w*|lint\w*|validations?|build)\b.*\b(pass|green|clean)"),
            ("validate",),
        ),
    )
}


@dataclass(frozen=True)
class CheckResult:
    """One check of the skill, concluded."""

    id: str
    text: str
    status: Status
    grade: Grade | None
    evidence: tuple[str, ...]  # the stages or files that it rests on
    line: int | None = None
    next: str | None = None


@dataclass(frozen=True)
class Recommendation:
    """Another skill that this work calls for: why, and the file that would satisfy it."""

    skill: str
    reason: str
    installed: bool = False
    satisfied_by: str | None = None
    waived: str | None = None


# The first status that any of a check's stages has decides.
_WORST_FIRST = (
    Status.BLOCKED,
    Status.FAILED,
    Status.PENDING,
    Status.WAIVED,
    Status.PASSED,
    Status.NOT_APPLICABLE,
)


def conclude_checks(
    skill: Skill, case: Case, results: Mapping[str, StageResult], taken: set[str]
) -> list[CheckResult]:
    """Every check of the skill: by its stages where code answers to it, else by somebody's
    attestation.
    """
    assigned = assign_checks(skill, taken)
    concluded = [
        (
            _declared(case, answer)
            if isinstance(answer, DeclaredStage)
            else _from_stages(answer, text, line, results)
        )
        for text, line, answer in assigned
    ]
    answered = {
        answer.ID if isinstance(answer, DeclaredStage) else answer.id for _, _, answer in assigned
    }
    left = [rule for rule in CHECKS.get(skill.name, ()) if rule.id not in answered]
    return concluded + [_from_stages(rule, rule.text, None, results) for rule in left]


def assign_checks(
    skill: Skill, taken: set[str]
) -> list[tuple[str, int, CheckRule | DeclaredStage]]:
    """(text, line, who answers) of each check in the skill's text: the first rule with its wording,
    else somebody.

    `taken` are the ids of the stages; the ids of declared checks differ from them.
    """
    rules, names = list(CHECKS.get(skill.name, ())), set(taken)
    numbers: dict[str, int] = {}
    assigned: list[tuple[str, int, CheckRule | DeclaredStage]] = []
    for check in skill.checks:
        text = check_text(check)
        rule = next((rule for rule in rules if rule.answers.search(check.text)), None)
        if rule is None:
            name = slug(check.text, names, numbers)
            assigned.append((text, check.line, DeclaredStage(name, text, check.line)))
        else:
            rules.remove(rule)
            assigned.append((text, check.line, rule))
    return assigned


def check_text(check: Check) -> str:
    """A check in one line, with the questions that are nested in it."""
    questions = ", ".join(
        _one_line(question.text).rstrip(".;,") for question in check.questions
    ).replace("?, ", "? ")
    return (
        f"{_one_line(check.text).rstrip(':')}: {questions}" if questions else _one_line(check.text)
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _from_stages(
    rule: CheckRule, text: str, line: int | None, results: Mapping[str, StageResult]
) -> CheckResult:
    seen = [results[stage] for stage in rule.stages if stage in results]
    statuses = {result.status for result in seen} or {Status.PENDING}
    status = next(status for status in _WORST_FIRST if status in statuses)
    own = [results[stage] for stage in rule.proved_by if stage in results]
    is_proved = bool(own) and all(result.grade == Grade.PROVED for result in own)
    counted = [
        result.grade for result in (own if is_proved else seen) if result.status == Status.PASSED
    ]
    return CheckResult(rule.id, text, status, weakest(counted), rule.stages, line)


def _declared(case: Case, stage: DeclaredStage) -> CheckResult:
    result = stage.examine(case)
    evidence = tuple(item.path for item in result.evidence)
    command = None if result.status == Status.PASSED else stage.command
    return CheckResult(
        stage.ID, stage.TITLE, result.status, result.grade, evidence, stage.line, command
    )


def recommend(skill: Skill, case: Case, results: Mapping[str, StageResult]) -> list[Recommendation]:
    """The skills that findings point to, and the state-machine mapper where the job retries or
    polls.
    """
    wanted: dict[str, str] = {}
    for result in results.values():
        for finding in result.findings:
            if finding.recommends and finding.recommends not in wanted:
                line = f":{finding.line}" if finding.line else ""
                place = f" ({finding.path}{line})" if finding.path else ""
                wanted[finding.recommends] = f"{finding.message}{place}"
    if skill.name in STAGES:
        reason = _state_machine_reason(
            case, [f for result in results.values() for f in result.findings]
        )
        if reason:
            wanted[STATE_MACHINE] = reason
    return [
        Recommendation(name, reason, _installed(case, name), _satisfied(case, name))
        for name, reason in wanted.items()
    ]


def _state_machine_reason(case: Case, findings: Iterable[Finding]) -> str | None:
    spec = case.spec
    if spec is None:
        return None
    reasons = []
    retry = spec.retry
    if retry is not None and retry.kind != "none":
        reasons.append(
            "retries with backoff" if retry.backoff and retry.backoff.kind != "none" else "retries"
        )
    if spec.trigger is not None and spec.trigger.type == "poller":
        reasons.append("polls")
    if any(f.rule == "handler.not-thin" for f in findings):
        reasons.append("branches in many ways")
    return (
        f"the job {' and '.join(reasons)}: its states and transitions should be written down"
        if reasons
        else None
    )


def _installed(case: Case, name: str) -> bool:
    from skillrun.contract.locate import list_skills

    return any(
        found.id in (name, name.rpartition("/")[2])
        for found in case.once("skills", lambda: list_skills(case.root))
    )


def _satisfied(case: Case, name: str) -> str | None:
    """For the mapper: a `*.state-machine.md` beside the handler."""
    handler = case.handler
    if name != STATE_MACHINE or handler is None:
        return None
    folder = handler.path.rpartition("/")[0]
    found: Sequence[str] = case.tree.match(
        f"{folder}/*.state-machine.md" if folder else "*.state-machine.md"
    )
    return found[0] if found else None


def skill_promises(skill: Skill, case: Case, files: Sequence[str] | None) -> list[CheckResult]:
    """What other skills promise: a read-only one leaves the tree alone, and telemetry is complete.

    `files`: what was touched since the run began; None where that cannot be told.
    """
    promises = []
    if skill.mode == "read":
        promises.append(_tree_unchanged(files))
    unknown = _unknown_telemetry(skill, case)
    if unknown:
        how = " ".join(f"--set inputs.{key}=..." for key in unknown)
        text = f"Telemetry is complete (unknown: {', '.join(unknown)})"
        promises.append(
            CheckResult(
                "telemetry", text, Status.BLOCKED, None, (), None, f"say what happened: {how}"
            )
        )
    return promises


def _tree_unchanged(files: Sequence[str] | None) -> CheckResult:
    text = "The skill only reads: the tree is unchanged"
    if files is None:
        text += " (cannot be told: the commit at the run's start is gone; --new-run starts again)"
        return CheckResult("tree-unchanged", text, Status.BLOCKED, None, ())
    if files:
        text += f" (changed: {', '.join(files[:5])})"
    return CheckResult(
        "tree-unchanged",
        text,
        Status.FAILED if files else Status.PASSED,
        Grade.EXECUTED,
        tuple(files[:5]),
    )


def _unknown_telemetry(skill: Skill, case: Case) -> list[str]:
    """Fields that are neither measured nor given: the outcome cannot be success while one of them
    is null.
    """
    if skill.name in STAGES:
        return []
    given = (case.spec.inputs if case.spec else None) or {}
    measured = {"skill", "outcome", "files_touched"}
    return [
        f.key for f in skill.telemetry if f.key not in measured and given.get(f.key) in (None, "")
    ]
