"""A record of success that is written before the commit is there also where that commit fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import JOBS, plain_repo, proof_of

SENDS = '            send(order_id, key=f"order-{order_id}")\n'
LATE = '        log.info("handle finished order_id=%s", order_id)\n'
EARLY = LATE.replace("        log", "            log", 1)
WRITES = JOBS.replace(SENDS, "")  # its only work is a row
CHANGED = {"effects": []}


@pytest.mark.parametrize(
    ("jobs", "changed", "verdict"),
    [
        (WRITES, CHANGED, "proved"),
        (WRITES.replace(LATE, EARLY), CHANGED, "refuted"),
        (JOBS.replace(LATE, EARLY), {}, "proved"),  # it was sent, whatever becomes of its marker
    ],
)
@pytest.mark.real
def test_success_is_said_when_it_is_one(
    tmp_path: Path, jobs: str, changed: dict[str, object], verdict: str
) -> None:
    proof = proof_of(plain_repo(tmp_path.resolve() / "shop", jobs=jobs, changed=changed), only=None)
    assert proof.verdict == verdict
    for witness in proof.witnesses:
        assert (witness.judgement.rule, str(witness.tried.schedule)) == (
            "logs.succeeded",
            "fail@before:commit#1",
        )
        assert witness.judgement.seen == (
            "'handle finished order_id=7' is logged before the commit, and stays where that fails"
        )
