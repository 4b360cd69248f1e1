"""The telemetry row of an invocation, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.ledger.rows import Telemetry
from skillrun.stages.registry import STAGES
from skillrun.stages.tests import is_test_file
from skillrun.verdict import StageResult, Status, weakest

if TYPE_CHECKING:
    from skillrun.actor import Actor
    from skillrun.contract.skill import Skill
    from skillrun.contract.spec import JobSpec
    from skillrun.stages.conclude import CheckResult

_INTEGRATION = ("integration", "e2e", "functional", "end_to_end")


def telemetry_row(
    *,
    run_id: str,
    invocation: int,
    skill: Skill,
    spec: JobSpec | None,
    outcome: str,
    results: Mapping[str, StageResult],
    checks: list[CheckResult],
    files: list[str] | None,
    fields: Mapping[str, Any],
    actor: Actor,
    repo: str,
    git_head: str | None,
    duration_ms: int | None,
) -> Telemetry:
    """`files`: what was touched since the run began; None where that was not measured (an
    interrupted invocation).
    """
    ours = skill.name in STAGES
    grades = [r.grade for r in results.values() if r.status == Status.PASSED]
    grades += [c.grade for c in checks if c.status == Status.PASSED]
    return Telemetry(
        run_id=run_id,
        invocation=invocation,
        skill=skill.id,
        outcome=outcome,
        actor=actor.name,
        actor_kind=str(actor.kind),
        repo=repo,
        trigger=spec.trigger.type if ours and spec and spec.trigger else None,
        idempotency=_idempotency(spec) if ours else None,
        retries=_retries(spec) if ours else None,
        tests_added=_tests_added(files) if ours and files is not None else None,
        files_touched=files,
        duration_ms=duration_ms,
        agent=actor.agent,
        git_head=git_head,
        checks_attempted=[
            c.id for c in checks if c.status not in (Status.PENDING, Status.NOT_APPLICABLE)
        ],
        checks_passed=[c.id for c in checks if c.status == Status.PASSED],
        checks_failed=[c.id for c in checks if c.status in (Status.FAILED, Status.BLOCKED)],
        grade_min=weakest(grades),
        fields={**({} if ours else own_fields(skill, spec, outcome, files)), **fields},
    )


def own_fields(
    skill: Skill, spec: JobSpec | None, outcome: str, files: list[str] | None
) -> dict[str, Any]:
    """Another skill's telemetry: what is measured, what the spec's inputs give, and null for what
    nobody knows.
    """
    known: dict[str, Any] = {"skill": skill.id, "outcome": outcome, "files_touched": files}
    given = (spec.inputs if spec else None) or {}
    return {field.key: known.get(field.key, given.get(field.key)) for field in skill.telemetry}


def _idempotency(spec: JobSpec | None) -> str:
    return (spec.idempotency.strategy if spec and spec.idempotency else None) or "unknown"


def _retries(spec: JobSpec | None) -> str | None:
    if spec is None or spec.retry is None:
        return None
    return "none" if spec.retry.kind == "none" else "bounded"


def _tests_added(files: list[str]) -> str:
    """The strongest kind among the test files touched since the run began."""
    tests = [path for path in files if is_test_file(path)]
    if any(word in path.lower() for path in tests for word in _INTEGRATION):
        return "integration"
    return "unit" if tests else "none"
