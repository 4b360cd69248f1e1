"""How many judgements become one."""

from __future__ import annotations

import pytest

from skillrun.core.verdict import (
    Finding,
    Grade,
    Outcome,
    Severity,
    Status,
    outcome_of,
    status_of,
    strongest,
    weakest,
)


def findings(*severities: Severity) -> list[Finding]:
    return [Finding("a.rule", severity, "something") for severity in severities]


@pytest.mark.parametrize(
    ("severities", "status"),
    [
        ([], Status.PASSED),
        ([Severity.NOTE, Severity.WARNING], Status.PASSED),
        ([Severity.WARNING, Severity.ERROR], Status.FAILED),
        ([Severity.ERROR, Severity.BLOCKER], Status.BLOCKED),
    ],
)
def test_what_is_missing_comes_before_what_is_wrong(
    severities: list[Severity], status: Status
) -> None:
    assert status_of(findings(*severities)) is status


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([], Outcome.PARTIAL),
        ([Status.PASSED, Status.NOT_APPLICABLE], Outcome.SUCCESS),
        ([Status.PASSED, Status.PENDING], Outcome.PARTIAL),
        ([Status.PASSED, Status.WAIVED], Outcome.PARTIAL),
        ([Status.FAILED, Status.PASSED], Outcome.PARTIAL),
        ([Status.FAILED, Status.BLOCKED, Status.PENDING], Outcome.BLOCKED),
    ],
)
def test_the_outcome_of_an_invocation(statuses: list[Status], outcome: Outcome) -> None:
    assert outcome_of(statuses) is outcome


def test_the_weakest_and_the_strongest_grade() -> None:
    grades = [Grade.STATIC, None, Grade.EXECUTED, Grade.DECLARED]
    assert weakest(grades) is Grade.DECLARED
    assert strongest(grades) is Grade.EXECUTED
    assert strongest([Grade.PROVED, Grade.EXECUTED]) is Grade.PROVED
    assert weakest([None]) is None
    assert strongest([]) is None
