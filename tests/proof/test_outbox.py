"""A call that makes a record and its job: made again it makes another one; an outbox's relay
publishes what is left.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.contract.spec import load_spec
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real

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
        create table if not exists orders (id integer primary key, item text, sent integer not null default 0);
        create table if not exists outbox (order_id integer primary key);
        '''

        def connect():
            connection = sqlite3.connect(os.environ["STORE_DB"])
            connection.executescript(SCHEMA)
            return connection

        if __name__ == "__main__":
            with connect() as connection:
                connection.execute("insert into orders (item) values ('an earlier one')")
        """
    ),
    "store/parcels.py": (
        """
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

        @app.task(acks_late=True, reject_on_worker_lost=True)
        def ship(order_id):
            log.info("ship started order_id=%s", order_id)
            with db.connect() as connection:
                sent = connection.execute("select sent from orders where id = ?", (order_id,)).fetchone()[0]
            if not sent:
                parcels.send(order_id, idempotency_key=f"order:{order_id}")
                with db.connect() as connection:
                    connection.execute("update orders set sent = 1 where id = ?", (order_id,))
            log.info("ship ended order_id=%s", order_id)
        """
    ),
    "store/orders.py": (
        """
        from store import db
        from store.tasks import ship

        def order(item):
            with db.connect() as connection:
                made = connection.execute("insert into orders (item) values (?)", (item,)).lastrowid
                connection.execute("insert into outbox values (?)", (made,))
            publish(made)

        def publish(order_id):
            ship.delay(order_id=order_id)
            with db.connect() as connection:
                connection.execute("delete from outbox where order_id = ?", (order_id,))

        def publish_pending():
            with db.connect() as connection:
                pending = connection.execute("select order_id from outbox").fetchall()
            for (order_id,) in pending:
                publish(order_id)
        """
    ),
    ".skillrun/jobs/ship.yaml": (
        """
        version: 1
        job: ship
        trigger: {type: event}
        payload:
          type: object
          required: [order_id]
          properties: {order_id: {type: integer}}
          examples: [{order_id: 2}, {order_id: 1}]
        handler: store.tasks:ship
        message: kwargs
        enqueue: {call: "store.orders:order", args: {item: book}}
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders}}
        effects:
          - {name: parcel, call: "store.parcels:send", key_arg: idempotency_key, window: 7d, guarantee: keyed}
        retry: {kind: none, reason: a person looks at it}
        dead_letter: {kind: none, reason: the order stays unsent}
        proof:
          env: {STORE_DB: "{scratch}/store.db"}
          setup: python -m store.db
          database: "{scratch}/store.db"
          state: {orders: "select id, item, sent from orders", outbox: "select order_id from outbox"}
        """
    ),
}
RELAY = ("args: {item: book}}", 'args: {item: book}, relay: "store.orders:publish_pending"}')


def proof_of(root: Path, *edits: tuple[str, str, str], only: str | None = None) -> Proof:
    helpers.write_files(root, FILES)
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, old
        (root / file).write_text(text.replace(old, new))
    spec = load_spec(root / ".skillrun/jobs/ship.yaml", root=root)
    return prove(Target(spec, root, "celery"), only=only)


def rules(proof: Proof) -> set[str]:
    return {witness.judgement.rule for witness in proof.witnesses} | {
        judgement.rule for judgement in proof.incomplete
    }


def test_with_its_relay_an_outbox_is_proved(tmp_path: Path) -> None:
    proof = proof_of(tmp_path, (".skillrun/jobs/ship.yaml", *RELAY))
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_without_one_a_second_call_is_another_job_and_nothing_is_refuted(tmp_path: Path) -> None:
    proof = proof_of(tmp_path)
    assert (proof.verdict, rules(proof)) == ("incomplete", {"enqueue.not-repeatable"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            '                connection.execute("insert into outbox values (?)", (made,))\n'.lstrip(),
            "pass\n",
        ),
        ("for (order_id,) in pending:", "for (order_id,) in pending[1:]:"),
    ],
)
def test_an_outbox_that_nobody_fills_or_empties_is_refuted(
    old: str, new: str, tmp_path: Path
) -> None:
    proof = proof_of(tmp_path, (".skillrun/jobs/ship.yaml", *RELAY), ("store/orders.py", old, new))
    assert proof.verdict == "refuted"
    lost = next(witness for witness in proof.witnesses if witness.judgement.rule == "effect.lost")
    assert lost.tried.schedule.family == "publish-fault"


SWEPT = (
    "idempotency: {strategy",
    'recovers: [{call: "store.orders:publish_pending", every: 5m}]\nidempotency: {strategy',
)
NEVER_PUBLISHED = "caller-kill@before:publish#1 sweep"


def test_a_sweep_publishes_what_its_publisher_left(tmp_path: Path) -> None:
    """The call is not made again once it has committed: that would be another order."""
    spec = ".skillrun/jobs/ship.yaml"
    proof = proof_of(tmp_path, (spec, *SWEPT), only=NEVER_PUBLISHED)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_a_sweep_that_leaves_it_there_is_refuted(tmp_path: Path) -> None:
    spec = ".skillrun/jobs/ship.yaml"
    late = ("store/orders.py", "for (order_id,) in pending:", "for (order_id,) in pending[1:]:")
    proof = proof_of(tmp_path, (spec, *SWEPT), late, only=NEVER_PUBLISHED)
    assert "effect.lost" in rules(proof)
