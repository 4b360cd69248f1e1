"""A small Celery job that survives the faults of production; tests take one of its guards away."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import helpers
import yaml

from skillrun.contract.spec import load_spec
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

TASKS = """
    import logging
    import sqlite3
    import time

    from celery.exceptions import Reject

    from till import bank, db
    from till.app import app

    log = logging.getLogger(__name__)
    MOST = 5


    def give_up(order_id, why):
        log.error("charge is given up order_id=%s reason=%s", order_id, why)
        with db.begin() as store:
            changed = store.execute(
                "update orders set status = 'given up' where id = ? and status = 'open'", (order_id,)
            )
            if changed.rowcount:
                store.execute("insert into dead values (?)", (order_id,))


    def begin_attempt(order_id):
        # (how many there were before, how long until the next one may begin)
        with db.begin() as store:
            row = store.execute("select status, tries, due from orders where id = ?", (order_id,)).fetchone()
            if row[0] != "open":
                return None
            if row[1] >= MOST or row[2] > time.time():
                return row[1], row[2] - time.time()
            due = time.time() + 2 * 2 ** row[1]
            store.execute("update orders set tries = tries + 1, due = ? where id = ?", (due, order_id))
            return row[1], 0


    @app.task(bind=True, name="till.charge", max_retries=None, acks_late=True, reject_on_worker_lost=True)
    def charge(self, order_id):
        try:
            work(self, order_id)
        except sqlite3.OperationalError as error:
            log.warning("charge comes again order_id=%s reason=%r", order_id, error)
            raise Reject(error, requeue=True)
        except Reject as error:
            log.warning("charge comes again order_id=%s reason=%r", order_id, error)
            raise Reject(error, requeue=True)


    def work(self, order_id):
        log.info("charge begins order_id=%s", order_id)
        began = begin_attempt(order_id)
        if began is None:
            log.info("charge had nothing to do order_id=%s", order_id)
            return
        tries, early = began
        if tries >= MOST:
            give_up(order_id, "no attempt is left")
            return
        if early > 0:
            log.info("charge waits order_id=%s", order_id)
            raise self.retry(countdown=early)
        try:
            bank.charge(order_id, key=f"order-{order_id}")
        except bank.Away as error:
            if tries + 1 >= MOST:
                give_up(order_id, repr(error))
                raise
            log.warning("charge will be retried order_id=%s reason=%r", order_id, error)
            raise self.retry(exc=error, countdown=2 * 2 ** tries)
        except bank.Declined as error:
            give_up(order_id, repr(error))
            raise
        with db.begin() as store:
            store.execute("update orders set status = 'paid' where id = ?", (order_id,))
        log.info("charge succeeded order_id=%s", order_id)
"""
DB = """
    import contextlib
    import os
    import sqlite3


    @contextlib.contextmanager
    def begin():
        store = sqlite3.connect(os.environ["TILL_DB"], isolation_level=None)
        try:
            store.execute("begin immediate")
            yield store
            store.execute("commit")
        finally:
            store.close()


    if __name__ == "__main__":
        with begin() as store:
            store.execute("create table orders (id integer primary key, status text, tries integer, due real)")
            store.execute("create table dead (order_id integer primary key)")
            store.execute("insert into orders values (7, 'open', 0, 0), (8, 'open', 0, 0)")
"""
BANK = """
    class Away(Exception):
        pass


    class Declined(Exception):
        pass


    def charge(order_id, key):
        raise RuntimeError("the real one must never run")
"""
APP = """
    from celery import Celery

    app = Celery("till", broker="redis://nowhere", include=["till.tasks"])
"""
DESK = """
    from till.tasks import charge


    def enqueue(order_id):
        charge.delay(order_id=order_id)
"""
SPEC: dict[str, Any] = {
    "version": 1,
    "job": "charge",
    "trigger": {"type": "event"},
    "payload": {
        "type": "object",
        "required": ["order_id"],
        "properties": {"order_id": {"type": "integer"}},
        "examples": [{"order_id": 7}, {"order_id": 8}],
    },
    "handler": "till.tasks:charge",
    "message": "kwargs",
    "enqueue": {"call": "till.desk:enqueue", "args": {"order_id": 7}},
    "idempotency": {"strategy": "keyed", "key": ["order_id"], "dedupe": {"store": "orders"}},
    "effects": [
        {"name": "charge", "call": "till.bank:charge", "key_arg": "key", "guarantee": "keyed"}
    ],
    "failures": {"transient": ["till.bank:Away"], "permanent": ["till.bank:Declined"]},
    "retry": {"max_attempts": 5, "backoff": {"kind": "exponential", "base": "2s", "factor": 2}},
    "dead_letter": {"kind": "table", "where": "dead"},
    "proof": {
        "env": {"TILL_DB": "{scratch}/till.db"},
        "setup": "python -m till.db",
        "database": "{scratch}/till.db",
        "state": {"orders": "select id, status from orders order by 1"},
        "dead_letters": "select count(*) from dead",
    },
}


def till_repo(root: Path, *edits: tuple[str, str], **changed: Any) -> Path:
    """The repository; `edits` of the tasks are (old, new), `changed` are parts of the spec: None
    takes one away.
    """
    spec = {key: part for key, part in {**SPEC, **changed}.items() if part is not None}
    tasks = textwrap.dedent(TASKS)
    for old, new in edits:
        assert tasks.count(old) == 1, (tasks.count(old), old)
        tasks = tasks.replace(old, new)
    files = {
        "till/__init__.py": "",
        "till/app.py": APP,
        "till/bank.py": BANK,
        "till/db.py": DB,
        "till/desk.py": DESK,
        "till/tasks.py": tasks,
        ".skillrun/jobs/charge.yaml": yaml.safe_dump(spec),
    }
    return helpers.build_tree(root, files)


def prove_till(root: Path, only: str | None, *edits: tuple[str, str], **changed: Any) -> Proof:
    """The proof of the job with its edits, of one schedule or of all."""
    till_repo(root, *edits, **changed)
    spec = load_spec(root / ".skillrun/jobs/charge.yaml", root=root)
    return prove(Target(spec, root, "celery"), only=only)
