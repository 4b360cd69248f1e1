"""An effect that may take place twice, and does so although nothing had failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import plain_repo, target_of

from skillrun.proof.families import messages, registry, together
from skillrun.proof.prove import prove

ONCE_MORE = {
    "name": "send",
    "call": "jobs:send",
    "guarantee": "at_least_once",
    "reason": "its receiver knows no keys",
}
LOCKED = 'if db.execute("select 1 from done'
CLAIM = 'db.execute("begin immediate")\n            if db.execute("select 1 from done'


def list_risks(root: Path, **edits: str) -> set[str]:
    proof = prove(target_of(plain_repo(root, changed={"effects": [ONCE_MORE]}, **edits)))
    assert proof.verdict == "proved"
    return {risk.judgement.rule for risk in proof.risks}


@pytest.mark.real
def test_two_at_once_that_do_not_see_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (together.at_once,))
    assert "repeated-without-fault" in list_risks(tmp_path / "open")
    assert list_risks(tmp_path / "locked", was=LOCKED, becomes=CLAIM) == set()


@pytest.mark.real
def test_a_job_that_is_done_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (messages.redeliver,))
    forgets = "if db.execute('select 0 from done where order_id = 0 and order_id = ?'"
    was = 'if db.execute("select 1 from done where order_id = ?"'
    assert "repeated-without-fault" in list_risks(tmp_path / "open", was=was, becomes=forgets)
    assert list_risks(tmp_path / "kept") == set()
