"""What a branch adds to the baseline; what it takes out was paid off."""

from __future__ import annotations

import pytest
from looks import everything, found, severities

from skillrun.proof.baseline import BASELINE, KnownCause, write_baseline

TWICE = KnownCause("effect.repeated", "email", "two deliveries both pass the check")
LOST = KnownCause("effect.lost", "email", "the error is not retried")


def baseline(*causes: KnownCause, handler: str = "shop.tasks:send") -> dict[str, str]:
    return {BASELINE: write_baseline({handler: frozenset(causes)})}


@pytest.mark.parametrize("before", [{}, baseline(), baseline(TWICE), {BASELINE: "no JSON"}])
def test_a_cause_that_the_branch_adds_is_found(before: dict[str, str]) -> None:
    """Also the first baseline that there is: somebody else agrees to it."""
    findings = found("baseline", before, baseline(LOST, TWICE))
    added = {finding.message.partition(":")[0].split()[3] for finding in findings}
    assert "effect.lost" in added
    assert ("effect.repeated" in added) == (before != baseline(TWICE))
    assert set(severities(findings)) == {"error"}


def test_another_job_is_another_debt() -> None:
    assert found("baseline", baseline(TWICE), baseline(TWICE, handler="shop.tasks:charge"))


def test_what_lay_elsewhere_was_no_baseline() -> None:
    """A branch that moves a file there has added all of it."""
    moved = found(
        "baseline", {"notes/baseline.json": baseline(LOST)[BASELINE]}, baseline(LOST),
        {"notes/baseline.json": BASELINE},
    )  # fmt: skip
    assert severities(moved) == ["error"]


@pytest.mark.parametrize("text", ["{", '{"schema_version": 1}', "[" * 50_000])
def test_one_that_cannot_be_read_is_found(text: str) -> None:
    findings = found("baseline", baseline(TWICE), {BASELINE: text})
    assert severities(findings) == ["error"]


def test_debt_that_is_paid_off_is_no_finding() -> None:
    assert everything(baseline(TWICE, LOST), baseline(LOST)) == []
    assert everything(baseline(TWICE), {}) == []
    assert everything({}, {"docs/baseline.json": baseline(TWICE)[BASELINE]}) == []
