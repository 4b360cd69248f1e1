"""A job that does nothing in its plain delivery shows nothing of itself, whoever wrote its spec; and a
stand-in for what a job is for shows the stand-in.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skillrun.proof.result import DoubtfulEffect
from skillrun.proof.world import _judge_stand_ins
from tests.proof.histories import DONE, history, reference
from tests.proof.plain_job import plain_repo, proof_of

WORK = DoubtfulEffect("email", "shop.service:settle", "writes table orders (shop/db.py:3)", True)


def judge_stand_ins(effect: DoubtfulEffect, *, changes_rows: bool) -> list[str]:
    once = history("once", DONE)
    before = {"rows": []} if changes_rows else once.state
    single = replace(reference(), once=once, before=before)
    target: Any = SimpleNamespace(doubtful=(effect,))
    return [one.message for one in _judge_stand_ins(target, single)]


def test_what_a_stand_in_leaves_out_is_said() -> None:
    (said,) = judge_stand_ins(WORK, changes_rows=True)
    assert said.startswith("a stand-in takes the place of shop.service:settle, which writes table")


def test_what_nobody_could_read_counts_beside_something_else() -> None:
    unread = replace(WORK, is_work=False)
    assert judge_stand_ins(unread, changes_rows=True) == []
    (said,) = judge_stand_ins(unread, changes_rows=False)
    assert said.startswith("all that the job does is done by a stand-in for shop.service:settle")
    other = replace(unread, name="push")
    assert judge_stand_ins(other, changes_rows=False) == []


@pytest.mark.real
def test_a_job_that_returns_at_its_first_guard_is_not_proved(tmp_path: Path) -> None:
    was = "        with closing"
    repo = plain_repo(
        tmp_path / "repo",
        changed={"effects": []},
        was=was,
        becomes=f"        if order_id:\n            return\n{was}",
    )
    proof = proof_of(repo, None)
    assert proof.verdict == "incomplete"
    assert [one.rule for one in proof.incomplete] == ["state.idle"]
