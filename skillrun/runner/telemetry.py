"""The telemetry row of an invocation, from what was measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Status, weakest
from skillrun.ledger.rows import SKILL_COLUMNS, Telemetry

if TYPE_CHECKING:
    from skillrun.core.actor import Actor
    from skillrun.core.verdict import Grade
    from skillrun.runner.coded import Measured
    from skillrun.runner.conclude import CheckResult
    from skillrun.runner.target import RunTarget

_ATTEMPTED = frozenset(Status) - {Status.PENDING, Status.NOT_APPLICABLE}
_PASSED = (Status.PASSED,)
_NOT_MET = (Status.FAILED, Status.BLOCKED)


def telemetry_row(
    run_id: str,
    invocation: int,
    measured: Measured,
    own: Mapping[str, Any],
    checks: list[CheckResult],
    actor: Actor,
    target: RunTarget,
    duration_ms: int | None,
) -> Telemetry:
    """The row of an invocation. `own` are the skill's own fields: those that have a column go
    there, the others are kept together in `fields`.
    """
    columns, fields = _split_fields(own)
    return Telemetry(
        run_id=run_id,
        invocation=invocation,
        skill=measured.skill.id,
        outcome=measured.outcome,
        actor=actor.name,
        actor_kind=str(actor.kind),
        repo=target.repo_name,
        files_touched=measured.files,
        duration_ms=duration_ms,
        agent=actor.agent,
        git_head=target.repo.head,
        checks_attempted=_name_checks(checks, _ATTEMPTED),
        checks_passed=_name_checks(checks, _PASSED),
        checks_failed=_name_checks(checks, _NOT_MET),
        grade_min=weakest(_list_grades(measured, checks)),
        fields=fields,
        **columns,
    )


def _split_fields(own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The skill's fields that have a column, and those that have none."""
    columns = {name: own[name] for name in SKILL_COLUMNS if name in own}
    fields = {name: value for name, value in own.items() if name not in columns}
    return columns, fields


def _name_checks(checks: Iterable[CheckResult], statuses: Collection[Status]) -> list[str]:
    """The ids of the checks with one of these statuses."""
    return [check.id for check in checks if check.status in statuses]


def _list_grades(measured: Measured, checks: Iterable[CheckResult]) -> list[Grade | None]:
    """How well each stage and each check that passed is shown."""
    grades = [stage.grade for stage in measured.results.values() if stage.status == Status.PASSED]
    grades += [check.grade for check in checks if check.status == Status.PASSED]
    return grades
