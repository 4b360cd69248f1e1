"""The sentence with which a run ends: what the outcome rests on, counted."""

from __future__ import annotations

from typing import Any

import pytest

from skillrun.core.tally import count_stages, outcome_line, sum_reports


def stages(*words: str) -> list[dict[str, Any]]:
    """Stages of a report: a grade means passed, anything else is a status."""
    grades = ("proved", "executed", "static", "declared")
    made = []
    for word in words:
        passed = word in grades
        made.append({"status": "passed" if passed else word, "grade": word if passed else None})
    return made


PROVED = ("proved",) * 4


@pytest.mark.parametrize(
    ("outcome", "words", "schedules", "line"),
    [
        (
            "success",
            (*PROVED, "executed", "executed", "static", "static", "static"),
            276,
            "success: 4 proved (276 schedules), 2 executed, 3 read",
        ),
        (
            "partial",
            ("pending", *PROVED, "failed", "pending"),
            276,
            "partial: 4 proved (276 schedules), 1 failed, 2 pending",
        ),
        (
            "partial",
            ("static", "proved", "waived"),
            1,
            "partial: 1 proved (1 schedule), 1 read, 1 waived",
        ),
        ("blocked", ("blocked", "pending"), 0, "blocked: 1 blocked, 1 pending"),
        ("success", ("declared", "not_applicable"), 0, "success: 1 said, 1 not applicable"),
        ("blocked", (), 0, "blocked"),
    ],
)
def test_an_outcome_is_counted(
    outcome: str, words: tuple[str, ...], schedules: int, line: str
) -> None:
    shown = stages(*words)
    assert (
        outcome_line(
            {"outcome": outcome, "stages": shown, "counts": count_stages(shown, schedules)}
        )
        == line
    )


def test_risks_are_counted_after_the_stages_and_accepted_ones_apart() -> None:
    risks = [
        {"grade": "stuck", "accepted": None},
        {"grade": "money", "accepted": None},
        {"grade": "stuck", "accepted": None},
        {"grade": "lost", "accepted": "agreed"},
    ]
    shown = stages(*PROVED)
    report = {"outcome": "partial", "stages": shown, "counts": count_stages(shown, 412)}
    line = outcome_line({**report, "risks": risks})
    assert line == "partial: 4 proved (412 schedules); risks: 1 money, 2 stuck, 1 accepted"
    assert outcome_line({**report, "risks": []}) == "partial: 4 proved (412 schedules)"


def test_a_report_of_an_older_skillrun_is_counted_by_its_stages() -> None:
    assert (
        outcome_line({"outcome": "success", "stages": stages("proved", "static")})
        == "success: 1 proved, 1 read"
    )


def test_schedules_belong_to_what_is_proved() -> None:
    assert count_stages(stages("static"), 12) == {"read": 1}


def test_several_reports_are_counted_together() -> None:
    """One of them is of a time when a job had no counts; one was refused, and has nothing."""
    proved, said = stages(*PROVED), stages("declared", "executed")
    risk = {"rule": "key-reused", "grade": "money", "accepted": None}
    counted = {"stages": proved, "counts": count_stages(proved, 276), "risks": [risk]}
    more = {"stages": proved, "counts": count_stages(proved, 24), "risks": [risk]}
    together = sum_reports("partial", [counted, more, {"stages": said}, {}])
    assert outcome_line(together) == (
        "partial: 8 proved (300 schedules), 1 executed, 1 said; risks: 2 money"
    )


def test_where_nothing_was_counted_the_outcome_stands_alone() -> None:
    assert outcome_line(sum_reports("refused", [{}])) == "refused"
