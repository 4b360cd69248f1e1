"""A key made of what else the database holds comes again when a backup is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import JOBS, SPEC, plain_repo, target_of

from skillrun.proof.attempt import try_prove

OWN_FIELDS = 'f"order-{order_id}"'
COUNTED = "f\"order-{db.execute('select count(*) from done').fetchone()[0] + 1}\""
RANDOM = "__import__('uuid').uuid4().hex"


@pytest.mark.real
@pytest.mark.parametrize(
    ("key", "expected"),
    [(COUNTED, [("store-restored", "money")]), (OWN_FIELDS, []), (RANDOM, [])],
    ids=["counted", "its own fields", "random"],
)
def test_a_number_that_a_backup_gives_out_once_more(
    tmp_path: Path, key: str, expected: list[tuple[str, str]]
) -> None:
    payload = {**SPEC["payload"], "examples": [{"order_id": 7}, {"order_id": 8}]}
    jobs = JOBS.replace('f"order-{order_id}"', key)
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed={"payload": payload})
    proof = try_prove(target_of(repo), only="restore job=1")
    assert [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks] == expected, [
        one.message for one in proof.incomplete
    ]


@pytest.mark.real
def test_it_is_among_the_schedules_of_a_whole_proof(tmp_path: Path) -> None:
    payload = {**SPEC["payload"], "examples": [{"order_id": 7}, {"order_id": 8}]}
    repo = plain_repo(tmp_path / "repo", changed={"payload": payload})
    proof = try_prove(target_of(repo))
    assert "restore job=1" in [str(history.schedule) for history in proof.histories]
