"""One Celery job that the tests of the spec's words change a little: in its code, in its spec."""

from __future__ import annotations

from pathlib import Path

import helpers

from skillrun.contract.spec import load_spec
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

SPEC = ".skillrun/jobs/ship.yaml"
FILES = {
    "store/__init__.py": "",
    "store/celery.py": (
        """
        from celery import Celery

        app = Celery("store", broker="memory://", include=["store.tasks"])
        """
    ),
    "store/db.py": (
        """
        import os
        import sqlite3

        SCHEMA = '''
        create table if not exists orders (id integer primary key, state text not null default 'new');
        create table if not exists leases (order_id integer primary key, token text);
        create table if not exists dead_jobs (order_id integer primary key);
        '''

        def connect():
            connection = sqlite3.connect(os.environ["STORE_DB"])
            connection.executescript(SCHEMA)
            return connection

        if __name__ == "__main__":
            with connect() as connection:
                connection.execute("insert into orders (id) values (7)")
                connection.execute("insert into orders (id) values (8)")
        """
    ),
    "store/parcels.py": (
        """
        class Down(Exception):
            pass

        class Refused(Exception):
            def __init__(self, *, status):
                super().__init__(f"status {status}")
                self.status = status

        def send(order_id, idempotency_key):
            raise RuntimeError("the real one")
        """
    ),
    "store/tasks.py": (
        """
        import logging
        from store import db, parcels
        from store.celery import app

        log = logging.getLogger(__name__)

        @app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=2)
        def ship(self, order_id):
            log.info("ship started order_id=%s attempt=%s", order_id, self.request.retries)
            with db.connect() as connection:
                state = connection.execute("select state from orders where id = ?", (order_id,)).fetchone()[0]
            if state == "sent":
                log.info("ship skipped order_id=%s", order_id)
                return
            try:
                parcels.send(order_id, idempotency_key=f"order:{order_id}")
            except parcels.Down as error:
                if self.request.retries >= self.max_retries:
                    give_up(order_id, error)
                    return
                log.warning("ship retry order_id=%s: %s", order_id, error)
                raise self.retry(exc=error, countdown=10)
            except ValueError as error:
                give_up(order_id, error)
                return
            with db.connect() as connection:
                connection.execute("update orders set state = 'sent' where id = ?", (order_id,))
            log.info("ship succeeded order_id=%s", order_id)

        def give_up(order_id, error):
            log.error("ship failed for good order_id=%s: %s", order_id, error)
            with db.connect() as connection:
                connection.execute("insert or ignore into dead_jobs values (?)", (order_id,))
        """
    ),
    SPEC: (
        """
        version: 1
        job: ship
        trigger: {type: event}
        payload:
          type: object
          required: [order_id]
          properties: {order_id: {type: integer}}
          examples: [{order_id: 7}, {order_id: 8}]
        handler: store.tasks:ship
        message: kwargs
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders}}
        effects:
          - {name: parcel, call: "store.parcels:send", key_arg: idempotency_key, guarantee: keyed}
        failures: {transient: ["store.parcels:Down"], permanent: [ValueError], acceptable_delay: 1h}
        retry: {max_attempts: 3, backoff: {kind: fixed, base: 10s}}
        dead_letter: {kind: table, where: dead_jobs}
        proof:
          env: {STORE_DB: "{scratch}/store.db"}
          setup: python -m store.db
          database: "{scratch}/store.db"
          state: {orders: "select id, state from orders order by 1"}
          dead_letters: select count(*) from dead_jobs
        """
    ),
}
Edit = tuple[str, str, str]  # file, the text in it that occurs once, what stands in its place


def prove_with(root: Path, *edits: Edit, only: str | None = None) -> Proof:
    """The proof of the job with these changes."""
    helpers.write_files(root, FILES)
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, old
        (root / file).write_text(text.replace(old, new))
    spec = load_spec(root / SPEC, root=root)
    return prove(Target(spec, root, "celery"), only=only)


def rules(proof: Proof) -> set[str]:
    """What a proof is refuted for, and what keeps it from being a verdict."""
    refuted = {witness.judgement.rule for witness in proof.witnesses}
    return refuted | {judgement.rule for judgement in proof.incomplete}
