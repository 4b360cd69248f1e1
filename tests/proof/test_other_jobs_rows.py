"""A sweep looks at every row. What it does to jobs that a schedule does not deliver is not held
against the one that it delivers.
"""

from __future__ import annotations

from typing import Any

import pytest

from skillrun.proof.exploring.others import Keys, Others

KEYS = Keys.read({0: {"id": 1}, 1: {"id": 2}, 2: {"id": 3}, -1: {"id": "x"}}, ["id"])
State = dict[str, Any]
WAITING: State = {"orders": [[1, "waiting", 0], [2, "waiting", 0], [3, "waiting", 0]]}


def swept(before: State, now: State, letters: int = 0, start: State = WAITING) -> Others:
    others = Others()
    others.note(KEYS, start, before, now, letters)
    return others


def undone(before: State, now: State, start: State = WAITING) -> State:
    return swept(before, now, start=start).undo(now, {})


def test_rows_of_others_are_as_they_were_before_the_sweep() -> None:
    buried = {"orders": [[1, "done", 1], [2, "dead", 1], [3, "dead", 1]]}
    before = {"orders": [[1, "done", 1], *WAITING["orders"][1:]]}
    others = swept(before, buried, letters=2)
    assert others.undo(buried, {}) == before
    assert others.letters == 2


def test_what_a_sweep_does_to_the_jobs_own_row_stays() -> None:
    """With a letter that may be the own one: then none is taken off."""
    buried = {"orders": [[1, "dead", 2], [2, "dead", 2], [3, "waiting", 0]]}
    others = swept(WAITING, buried, letters=1)
    assert others.undo(buried, {})["orders"] == [[1, "dead", 2], *WAITING["orders"][1:]]
    assert others.letters == 0


def test_a_row_that_another_job_loses_is_put_back() -> None:
    left = {"orders": [[1, "waiting", 0], [3, "waiting", 0]]}
    assert undone(WAITING, left) == WAITING


def test_several_sweeps_are_undone_in_turn() -> None:
    first = {"orders": [[1, "waiting", 0], [2, "asked", 1], [3, "waiting", 0]]}
    second = {"orders": [[1, "waiting", 0], [2, "dead", 2], [3, "waiting", 0]]}
    others = swept(WAITING, first)
    others.note(KEYS, WAITING, first, second, 0)
    assert others.undo(second, {}) == WAITING


def test_rows_that_are_sorted_by_what_a_sweep_changed_are_compared_in_the_wanted_order() -> None:
    start = {"orders": [["waiting", 1], ["waiting", 2]]}
    now = {"orders": [["dead", 2], ["waiting", 1]]}
    assert swept(start, now, start=start).undo(now, start) == start


NOTHING_TELLS = [
    # The query asks for the own row alone, and a number in it is another example's key.
    ({"orders": [["waiting", 0]]}, {"orders": [["done", 2]]}, {"orders": [["failed", 2]]}),
    # A surrogate id that is another example's key: a second charge of the own job.
    ({"charges": []}, {"charges": [[1, 1]]}, {"charges": [[1, 1], [2, 1]]}),
    (
        {"charges": [[1, 2], [2, 1]]},
        {"charges": [[1, 2], [2, 1]]},
        {"charges": [[1, 2], [2, 1], [3, 1]]},
    ),
    # A row of nobody's that is known.
    (WAITING, WAITING, {"orders": [*WAITING["orders"], [9, "waiting", 0]]}),
    ({"orders": [[3]]}, {"orders": [[3]]}, {"orders": [[1]]}),  # a count
    ({"orders": [[1, "x"]]}, {"orders": "error: no such table"}, {"orders": [[1, "done"]]}),
]


@pytest.mark.parametrize(("start", "before", "now"), NOTHING_TELLS)
def test_in_doubt_a_row_is_the_jobs_own(start: State, before: State, now: State) -> None:
    others = swept(before, now, letters=1, start=start)
    assert others.undo(now, {}) == now
    assert others.letters == 0


def test_varied_payloads_have_no_rows() -> None:
    assert Keys.read({0: {"id": 7}, 2_001: {"id": 1}}, ["id"]).others == frozenset()
