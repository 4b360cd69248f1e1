"""A proof on one screen: the answer first, at most five findings, each with its lanes."""

from __future__ import annotations

from typing import Any

import pytest

from skillrun.reports.proof_screen import screen_lines

STEP = {"number": 1, "path": None, "line": None, "fault": False, "kind": "", "at_s": 1.0}
STORY = [
    {**STEP, "process": "delivery 1", "text": "begins", "kind": "began"},
    {
        **STEP,
        "process": "delivery 1",
        "text": "charge takes place: charge(1)",
        "kind": "performed",
        "path": "shop/tasks.py",
        "line": 9,
    },
    {
        **STEP,
        "process": "delivery 1",
        "text": "the process is killed after charge#1",
        "kind": "fault",
        "fault": True,
        "path": "shop/tasks.py",
        "line": 12,
    },
    {
        **STEP,
        "process": "delivery 2",
        "at_s": 7200.0,
        "text": "charge takes place: charge(1)",
        "kind": "performed",
    },
    {
        **STEP,
        "process": "delivery 2",
        "at_s": 7200.0,
        "text": "the message is acknowledged",
        "kind": "settled",
    },
]
WITNESS = {
    "message": "charge took place under another key",
    "rule": "effect.other-key",
    "stable": True,
    "again": 3,
    "cause": "the key is drawn anew",
    "replay": "skillrun prove --schedule 'kill@after:charge#1'",
    "events": STORY,
}
RISK = {
    "grade": "stuck",
    "rule": "crash-loop",
    "also": [],
    "message": "nothing ends it",
    "closes": "count deliveries",
    "replay": "skillrun prove --schedule 'x'",
    "events": STORY,
    "schedules": ["x"],
}


def report(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "verdict": "proved",
        "job": "charge",
        "handler": "shop.tasks:charge",
        "library": "celery 5.4.0",
        "schedules": {"total": 200},
        "sandbox": {"kind": "namespaces", "missing": []},
        "effects": [{"name": "charge", "declared": "keyed", "observed": "keyed"}],
        "attempts": {"observed": [5], "unbounded_by_kills": True},
        "log_answers": {"ran": {"question": "did it run?", "by": "application"}},
        "witnesses": [],
        "risks": [],
        "incomplete": [],
        "duration_ms": 1500,
    }
    return {**plain, **changes}


def text_of(value: dict[str, Any], guesses: tuple[str, ...] = ()) -> list[str]:
    return [shown.text for shown in screen_lines(value, "skillrun prove", guesses)]


def test_the_first_line_is_the_answer() -> None:
    lines = text_of(report())
    assert lines[0] == "proved: charge: 200 schedules  (1.5 s)"
    assert lines[-1].endswith("skillrun prove -v")


def test_a_wall_that_was_missing_is_said_beside_the_answer() -> None:
    """Where namespaces are denied, what was proved rests on less."""
    missing = ["no network of its own: rests on hooks", "no processes of its own: they are seen"]
    lines = text_of(report(sandbox={"kind": "landlock", "missing": missing}))
    for words in missing:
        assert f"walls   this machine gave the proof {words}" in lines


def test_a_refutation_is_drawn_as_lanes_with_place_and_replay() -> None:
    lines = text_of(report(verdict="refuted", witnesses=[WITNESS]))
    assert lines[0].startswith("refuted: charge: 200 schedules, 1 refutation")
    assert "   delivery 1     1 s  ● charge  ✗ the process is killed after charge#1" in lines
    assert "   delivery 2     2 h  ● charge  ■ the message is acknowledged" in lines
    assert "   where   shop/tasks.py:12" in lines
    assert any(line.endswith("--schedule 'kill@after:charge#1'") for line in lines)


@pytest.mark.parametrize(("grade", "is_replayed"), [("lost", True), ("stuck", False)])
def test_a_risk_that_is_accepted_by_name_has_its_schedule_beside_any_refutation(
    grade: str, is_replayed: bool
) -> None:
    risk = {**RISK, "grade": grade}
    lines = text_of(report(verdict="refuted", witnesses=[WITNESS], risks=[risk]))
    assert any(line.endswith("--schedule 'x'") for line in lines) == is_replayed


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_any_number_of_findings_fits_on_a_screen(count: int) -> None:
    value = report(verdict="refuted", witnesses=[WITNESS] * count, risks=[RISK] * count)
    lines = text_of(value, tuple(f"guess {number}" for number in range(count)))
    assert len(lines) <= 40
    said = "\n".join(lines)
    assert (f"and {count - 5} more refutations" in said) is (count > 5)
    assert (f"and {count - 5} more risks" in said) is (count > 5)


def test_what_the_logs_do_not_say_and_what_was_guessed_comes_before_the_findings() -> None:
    silent = {"why": {"question": "why did it fail?", "by": "no"}}
    lines = text_of(report(log_answers=silent, risks=[RISK]), ("retry: as read",))
    assert "logs    do not say: why did it fail?" in lines
    assert lines.index("guessed retry: as read") < lines.index(
        "risk, stuck: nothing ends it  [crash-loop]"
    )


def test_an_effect_that_was_weaker_than_declared_says_so() -> None:
    effect = {"name": "mail", "declared": "keyed", "observed": "at_least_once"}
    assert "effect  mail: keyed; it took place more than once" in text_of(report(effects=[effect]))
