"""A poll that calls the handler for each row: each call is a delivery, with the faults of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.proof.judgement import Verdict
from tests.proof.plain_job import plain_repo, proof_of

JOBS = """
    import logging
    import os
    import sqlite3
    from contextlib import closing

    log = logging.getLogger(__name__)
    DB = os.environ["APP_DB"]
    MOST = 3


    class Away(Exception):
        pass


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def place(order_id):
        with closing(sqlite3.connect(DB)) as db, db:
            db.execute("insert into orders values (?, 'waiting', 0)", (order_id,))


    def poll():
        with closing(sqlite3.connect(DB)) as db:
            rows = db.execute("select id from orders where state = 'waiting'").fetchall()
        for (order_id,) in rows:
            handle(order_id)


    def handle(order_id):
        with closing(sqlite3.connect(DB)) as db:
            with db:
                taken = db.execute(
                    "update orders set tries = tries + 1 where id = ? and state = 'waiting'", (order_id,)
                ).rowcount
            if not taken:
                return
            (tries,) = db.execute("select tries from orders where id = ?", (order_id,)).fetchone()
            log.info("started order_id=%s attempt=%s", order_id, tries)
            try:
                send(order_id, key=f"order-{order_id}")
            except Away as error:
                state = "dead" if tries >= MOST else "waiting"
                log.warning("order_id=%s %s attempt=%s reason=%r", order_id, state, tries, error)
            else:
                state = "done"
                log.info("succeeded order_id=%s", order_id)
            with db:
                db.execute("update orders set state = ? where id = ?", (state, order_id))
"""
SCHEMA = "create table orders (id integer primary key, state text, tries integer)"
CHANGED = {
    "enqueue": {"call": "jobs:place", "args": {"order_id": 7}},
    "recovers": [{"call": "jobs:poll", "every": "5m"}],
    "failures": {"transient": ["jobs:Away"], "acceptable_delay": "1d"},
    "retry": {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "1m"}},
    "dead_letter": {"kind": "table", "where": "orders"},
    "proof": {
        "env": {"APP_DB": "{scratch}/app.db"},
        "setup": f"python -c \"import os, sqlite3; sqlite3.connect(os.environ['APP_DB']).execute('{SCHEMA}')\"",
        "database": "{scratch}/app.db",
        "state": {"orders": "select id, state from orders order by 1"},
        "dead_letters": "select count(*) from orders where state = 'dead'",
    },
}
FAILS = "raise=jobs:Away@before:send#*/* sweep"


@pytest.mark.real
@pytest.mark.parametrize("only", ["once", FAILS])
def test_a_poll_that_calls_the_handler_tries_it_again(tmp_path: Path, only: str) -> None:
    proof = proof_of(plain_repo(tmp_path / "shop", jobs=JOBS, changed=CHANGED), only)
    assert proof.verdict is Verdict.PROVED, proof.incomplete or proof.witnesses


@pytest.mark.real
def test_a_poll_that_gives_up_too_early_is_refuted(tmp_path: Path) -> None:
    jobs = JOBS.replace("MOST = 3", "MOST = 2")
    proof = proof_of(plain_repo(tmp_path / "shop", jobs=jobs, changed=CHANGED), FAILS)
    assert [witness.judgement.rule for witness in proof.witnesses] == ["attempts.too-few"]
