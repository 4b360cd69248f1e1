"""A poll that calls the handler for each row: each call is a delivery, with the faults of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.proof.judgement import Verdict
from skillrun.proof.result import Proof
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


POLL = """
    def poll():
        with closing(sqlite3.connect(DB)) as db:
            rows = db.execute("select id from orders where state = 'waiting'").fetchall()
        for (order_id,) in rows:
            handle(order_id)
"""
USES = """
    def poll():
        with closing(sqlite3.connect(DB)) as db:
            rows = db.execute("select id from orders where state = 'waiting'").fetchall()
        for (order_id,) in rows:
            sent = handle(order_id)
            log.info("order_id=%s sent=%s", order_id, sent)
"""
CATCHES = """
    def poll():
        with closing(sqlite3.connect(DB)) as db:
            rows = db.execute("select id from orders where state = 'waiting'").fetchall()
        for (order_id,) in rows:
            try:
                handle(order_id)
            except Away:
                place(order_id)
"""
LOCKS = """
    def poll():
        with closing(sqlite3.connect(DB)) as db, db:
            claim = "update orders set tries = tries where state = 'waiting' returning id"
            for (order_id,) in db.execute(claim).fetchall():
                handle(order_id)
"""
RECORDS = """
    def poll():
        with closing(sqlite3.connect(DB)) as db:
            rows = db.execute("select id from orders where state = 'waiting'").fetchall()
        for (order_id,) in rows:
            try:
                handle(order_id)
            except Exception:
                log.exception("order_id=%s broke off", order_id)
                continue
        db.close()
"""


def prove_with(poll: str, folder: Path, only: str, **changed: object) -> Proof:
    assert POLL in JOBS
    jobs = JOBS.replace(POLL, poll)
    return proof_of(plain_repo(folder, jobs=jobs, changed={**CHANGED, **changed}), only)


@pytest.mark.real
@pytest.mark.parametrize("poll", [USES, CATCHES, LOCKS])
def test_a_poll_that_does_more_is_to_be_named_itself(tmp_path: Path, poll: str) -> None:
    """What comes after the call is a part of the job, and a lock that the poll holds is in its
    way.
    """
    proof = prove_with(poll, tmp_path / "shop", "once")
    assert [reason.rule for reason in proof.incomplete] == ["not-published"]
    assert "name jobs:poll as the handler" in proof.incomplete[0].message


@pytest.mark.real
def test_a_poll_may_record_what_its_call_raised(tmp_path: Path) -> None:
    proof = prove_with(RECORDS, tmp_path / "shop", FAILS)
    assert proof.verdict is Verdict.PROVED, proof.incomplete or proof.witnesses


@pytest.mark.real
@pytest.mark.parametrize("call", ["jobs:forget", "jobs:place"])
def test_what_nobody_finds_is_not_published(tmp_path: Path, call: str) -> None:
    """The application's call leaves nothing; or it leaves a row, and no sweep looks for it."""
    forget = (
        POLL
        + """
    def forget(order_id):
        sqlite3.connect(DB).execute("insert into orders values (?, 'waiting', 0)", (order_id,))
"""
    )
    changed: dict[str, object] = {"enqueue": {"call": call, "args": {"order_id": 7}}}
    if call == "jobs:place":
        changed["recovers"] = []
    proof = prove_with(forget, tmp_path / "shop", "once", **changed)
    assert [reason.rule for reason in proof.incomplete] == ["not-published"]


@pytest.mark.real
def test_a_method_is_delivered_as_a_function_is(tmp_path: Path) -> None:
    method = (
        POLL.replace("handle(order_id)", "Orders().handle(order_id)")
        + """
    class Orders:
        def handle(self, order_id):
            handle(order_id)
"""
    )
    proof = prove_with(method, tmp_path / "shop", FAILS, handler="jobs:Orders.handle")
    assert proof.verdict is Verdict.PROVED, proof.incomplete or proof.witnesses
