"""A message that waited for days is done, or something says that it was not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from histories import ACKED, DONE, RETURNED, history, reference, spec

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.schedule import SECOND_RUN_S, Schedule, family_of, parse_schedule

WEEK = 8 * 86_400
HOUR = 3_600
SKIPPED = [RETURNED, ACKED]
EXPIRED = [["expired"]]


def late(*deliveries: list[Any], state: Any, **more: Any) -> History:
    return history(f"late={WEEK}", *deliveries, state=state, **more)


def told(seen: History, accepted: float = HOUR) -> list[tuple[str, RiskGrade | None]]:
    failures = {"transient": ["app.mail:Away"], "acceptable_delay": accepted}
    asked = spec(failures=failures)
    judged = replace(reference(), spec=asked, before={"rows": []})
    return [(one.rule, one.grade) for one in judge_history(seen, judged)]


def test_what_is_done_however_late_it_is() -> None:
    assert told(late(DONE, state=[[1]])) == []


@pytest.mark.parametrize("accepted", [2 * WEEK, HOUR])
def test_what_is_dropped_without_a_word(accepted: float) -> None:
    grade = RiskGrade.LOST if accepted > WEEK else RiskGrade.MINOR
    assert told(late(SKIPPED, state=[]), accepted) == [("late-skipped", grade)]


def test_a_dead_letter_or_a_row_says_it() -> None:
    assert told(late(SKIPPED, state=[], dead_letters=1)) == []
    assert told(late(SKIPPED, state=EXPIRED)) == []


def test_the_clock_of_a_server_has_not_moved_on() -> None:
    said = {"when": "before", "kind": "write", "sql": "update jobs set a = 1", "name": "x#1"}
    kept = [("at", {**said, "store": "postgresql:app"}), *SKIPPED]
    assert told(late(kept, state=[])) == []
    own = [("at", {**said, "store": "sqlite:/app.db"}), *SKIPPED]
    assert told(late(own, state=[])) != []


def test_its_text_is_read_again() -> None:
    made = Schedule("late", late=WEEK)
    assert parse_schedule(str(made)) == made
    assert family_of(Schedule("once", late=SECOND_RUN_S)) == "once"
