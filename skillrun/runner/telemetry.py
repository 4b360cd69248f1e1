"""The telemetry row of an invocation, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Status, weakest
from skillrun.ledger.rows import SKILL_COLUMNS, Telemetry

if TYPE_CHECKING:
    from skillrun.core.actor import Actor
    from skillrun.runner.coded import Measured
    from skillrun.runner.conclude import CheckResult
    from skillrun.runner.target import Target

_NOT_ATTEMPTED = (Status.PENDING, Status.NOT_APPLICABLE)
_NOT_MET = (Status.FAILED, Status.BLOCKED)


def telemetry_row(
    run_id: str,
    invocation: int,
    seen: Measured,
    own: Mapping[str, Any],
    checks: list[CheckResult],
    actor: Actor,
    target: Target,
    duration_ms: int | None,
) -> Telemetry:
    """`own`: the skill's own fields. Those that have a column go there, the others are kept
    together in `fields`.
    """
    grades = []
    for result in seen.results.values():
        if result.status == Status.PASSED:
            grades.append(result.grade)
    for check in checks:
        if check.status == Status.PASSED:
            grades.append(check.grade)
    columns = {}
    for name in SKILL_COLUMNS:
        if name in own:
            columns[name] = own[name]
    fields = {name: value for name, value in own.items() if name not in columns}
    return Telemetry(
        run_id=run_id,
        invocation=invocation,
        skill=seen.skill.id,
        outcome=seen.outcome,
        actor=actor.name,
        actor_kind=str(actor.kind),
        repo=target.repo_name,
        files_touched=seen.files,
        duration_ms=duration_ms,
        agent=actor.agent,
        git_head=target.repo.head,
        checks_attempted=[check.id for check in checks if check.status not in _NOT_ATTEMPTED],
        checks_passed=[check.id for check in checks if check.status == Status.PASSED],
        checks_failed=[check.id for check in checks if check.status in _NOT_MET],
        grade_min=weakest(grades),
        fields=fields,
        **columns,
    )
