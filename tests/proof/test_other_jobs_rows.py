"""A sweep looks at every row. What it does to jobs that a schedule does not deliver is not held
against the one that it delivers.
"""

from __future__ import annotations

from typing import Any

import pytest

from skillrun.proof.exploring.others import Keys, Others

KEYS = Keys.read({0: {"id": 1}, 1: {"id": 2}, 2: {"id": 3}, -1: {"id": "x"}}, ["id"])
WAITING: dict[str, Any] = {"orders": [[1, "waiting", 0], [2, "waiting", 0], [3, "waiting", 0]]}


def after(before: dict[str, Any], now: dict[str, Any], letters: int = 0) -> Others:
    others = Others()
    others.note(KEYS, before, now, letters)
    return others


def test_rows_of_others_are_as_they_were_before_the_sweep() -> None:
    buried = {"orders": [[1, "done", 1], [2, "dead", 1], [3, "dead", 1]]}
    before = {"orders": [[1, "done", 1], *WAITING["orders"][1:]]}
    others = after(before, buried, letters=2)
    assert others.undo(buried) == before
    assert others.letters == 2


def test_what_a_sweep_does_to_the_jobs_own_row_stays() -> None:
    buried = {"orders": [[1, "dead", 2], [2, "dead", 2], [3, "waiting", 0]]}
    others = after(WAITING, buried, letters=2)
    assert others.undo(buried)["orders"] == [[1, "dead", 2], [2, "waiting", 0], [3, "waiting", 0]]
    assert others.letters == 1  # of the two letters one is the job's own


def test_a_row_that_another_job_loses_or_gets_is_put_right() -> None:
    moved = {"orders": [[1, "waiting", 0], [3, "waiting", 0]], "dead": [["order", 2]]}
    before = {**WAITING, "dead": []}
    assert after(before, moved).undo(moved) == before


def test_several_sweeps_are_undone_in_turn() -> None:
    first = {"orders": [[1, "waiting", 0], [2, "asked", 1], [3, "waiting", 0]]}
    second = {"orders": [[1, "waiting", 0], [2, "dead", 2], [3, "waiting", 0]]}
    others = after(WAITING, first)
    others.note(KEYS, first, second, 0)
    assert others.undo(second) == WAITING


@pytest.mark.parametrize(
    "answers",
    [
        {"orders": [[1, "waiting", 0]]},  # the query asks for the own row alone
        {"orders": [[3]]},  # a count
        {"orders": "error: no such table"},
    ],
)
def test_where_nobody_can_tell_a_row_nothing_is_undone(answers: dict[str, Any]) -> None:
    changed = {"orders": [[1, "done", 1]]}
    assert after(answers, changed).undo(changed) == changed
