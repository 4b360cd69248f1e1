"""Ticks whose work is another one each day: nothing of one day is held against another."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import JOBS, plain_repo, proof_of

BODY = JOBS[JOBS.index("    def handle") :]
DAILY = """    def handle():
        day = time.strftime("%Y-%m-%d")
        log.info("summary started")
        with closing(sqlite3.connect(DB)) as db, db:
            if db.execute("select 1 from done where order_id = ?", (day,)).fetchone():
                return
            send(day, key=f"summary-{day}")
            db.execute("insert into done values (?) on conflict do nothing", (day,))
        log.info("summary finished")
"""
SPEC = {
    "trigger": {"type": "cron", "schedule": "0 */6 * * *"},
    "payload": {"type": "object", "properties": {}, "examples": [{}]},
    "idempotency": {
        "strategy": "invariant",
        "invariant": {"statement": "one row a day", "guarded_by": "primary key"},
    },
    "retry": {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "6h"}},
}
SCHEMA = "order_id text primary key"


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (DAILY, "proved"),
        (
            DAILY.replace("order_id = ?", "order_id < ?"),
            "refuted",
        ),  # forgets what it has done on this day
        (
            DAILY.replace(
                'send(day, key=f"summary-{day}")', 'send("the one invoice", key=f"invoice-{day}")'
            ),
            "refuted",
        ),
    ],
)
@pytest.mark.real
def test_another_day_is_another_job(tmp_path: Path, body: str, verdict: str) -> None:
    root = plain_repo(tmp_path.resolve() / "shop", jobs=JOBS.replace(BODY, body), changed=SPEC)
    schema = root / "schema.py"
    schema.write_text(schema.read_text().replace("order_id integer primary key", SCHEMA))
    proof = proof_of(root, only=None)
    assert [witness.judgement.message for witness in proof.witnesses if verdict == "proved"] == []
    assert proof.verdict == verdict
