"""The state before the application's own call: a fixture is often past it, and then nothing shows that
a worker is faster than the commit.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import helpers
import pytest
from histories import history, reference

from skillrun.contract.spec import load_spec
from skillrun.proof.before_call import find_uncommitted, list_values
from skillrun.proof.families import publisher, registry
from skillrun.proof.history import Event
from skillrun.proof.judges.uncommitted import judge
from skillrun.proof.observe import look
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))
import run as corpus

FILES = {
    "shop/__init__.py": "",
    "shop/celery.py": """
        from celery import Celery

        app = Celery("shop", broker="memory://", include=["shop.tasks"])
        """,
    "shop/db.py": """
        import os
        import sqlite3

        BASKET, PLACED = "basket", "placed"

        def connect():
            return sqlite3.connect(os.environ["SHOP_DB"])

        if __name__ == "__main__":
            with connect() as db:
                db.execute("create table orders (id integer primary key, state text not null, mailed int default 0)")
                db.execute("create table calls (id integer primary key, order_id integer)")
                db.execute("create table failed (order_id integer primary key)")
                db.executemany("insert into orders (id, state) values (?, ?)", [(7, PLACED), (8, PLACED), (9, BASKET)])
        """,
    "shop/mailer.py": """
        def send(order_id, message_id):
            raise RuntimeError("the real one")
        """,
    "shop/tasks.py": """
        import logging
        from shop import db, mailer
        from shop.celery import app

        log = logging.getLogger(__name__)

        class NoSuchOrder(Exception):
            pass

        @app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=4)
        def confirm(self, order_id):
            log.info("confirm started order_id=%s", order_id)
            with db.connect() as c:
                state, mailed = c.execute("select state, mailed from orders where id = ?", (order_id,)).fetchone()
                failed = c.execute("select 1 from failed where order_id = ?", (order_id,)).fetchone()
            if state == db.BASKET:
                UNPLACED
            if not mailed and not failed:
                mailer.send(order_id, message_id=f"order-{order_id}")
                with db.connect() as c:
                    c.execute("update orders set mailed = 1 where id = ?", (order_id,))
            log.info("confirm ended order_id=%s", order_id)

        def give_up(order_id):
            with db.connect() as c:
                c.execute("insert into failed values (?) on conflict do nothing", (order_id,))
            log.error("confirm given up order_id=%s: no such order", order_id)
        """,
    "shop/till.py": """
        from shop import db
        from shop.tasks import confirm

        PLACE
        """,
    ".skillrun/jobs/confirm.yaml": """
        version: 1
        job: confirm
        trigger: {type: event}
        payload:
          type: object
          required: [order_id]
          properties: {order_id: {type: integer}}
          examples: [{order_id: 7}, {order_id: 8}]
        handler: shop.tasks:confirm
        message: kwargs
        enqueue: {call: "shop.till:place", args: {order_id: 7}}
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders}}
        effects:
          - {name: letter, call: "shop.mailer:send", key_arg: message_id, window: 7d, guarantee: keyed}
        retry: {kind: none, reason: a person looks at it}
        dead_letter: {kind: table, where: failed}
        proof:
          env: {SHOP_DB: "{scratch}/shop.db"}
          setup: python -m shop.db
          database: "{scratch}/shop.db"
          state: {orders: "select id, state, mailed from orders order by 1"}
          dead_letters: select count(*) from failed
        """,
}
GIVES_UP = "return give_up(order_id)"
TRIES_AGAIN = "raise self.retry(countdown=5, exc=NoSuchOrder(order_id))"
# `place(order_id)`, the application's own call: an order that stands there as placed is left as it is.
WITHIN = """
    def place(order_id):
        with db.connect() as c:
            c.execute("insert into calls (order_id) values (?)", (order_id,))
            c.execute("update orders set state = 'placed' where id = ? and state = 'basket'", (order_id,))
            confirm.delay(order_id=order_id)
    """
BEFORE = """
    def place(order_id):
        confirm.delay(order_id=order_id)
        with db.connect() as c:
            c.execute("update orders set state = 'placed' where id = ?", (order_id,))
    """
BY_STEPS = """
    def place(order_id):
        c = db.connect()
        try:
            c.execute("begin immediate")
            (state,) = c.execute("select state from orders where id = ?", (order_id,)).fetchone()
            if state == db.BASKET:
                c.execute("update orders set state = ? where id = ?", (db.PLACED, order_id))
            confirm.delay(order_id=order_id)
            c.commit()
        finally:
            c.close()
    """
BY_SESSION = """
    import os
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    def place(order_id):
        engine = create_engine("sqlite:///" + os.environ["SHOP_DB"])
        with Session(engine) as session:
            state = session.scalar(text("select state from orders where id = :id"), {"id": order_id})
            if state == db.BASKET:
                session.execute(text("update orders set state = 'placed' where id = :id"), {"id": order_id})
            session.execute(text("insert into calls (order_id) values (:id)"), {"id": order_id})
            confirm.delay(order_id=order_id)
            session.commit()
    """
AFTER = """
    def place(order_id):
        with db.connect() as c:
            c.execute("update orders set state = 'placed' where id = ? and state = 'basket'", (order_id,))
        confirm.delay(order_id=order_id)
    """
OUTBOX = """
    def place(order_id):
        with db.connect() as c:
            c.execute("update orders set state = 'placed' where id = ? and state = 'basket'", (order_id,))
            c.execute("insert into calls (order_id) values (?)", (order_id,))

    def publish_rest():
        with db.connect() as c:
            rows = c.execute("select id, order_id from calls").fetchall()
        for number, order_id in rows:
            confirm.delay(order_id=order_id)
            with db.connect() as c:
                c.execute("delete from calls where id = ?", (number,))
    """
# What it publishes for is in no row that it sets: only the call itself is noted.
NOTHING_READ = """
    def place(order_id):
        with db.connect() as c:
            c.execute("insert into calls (order_id) values (?)", (order_id,))
            confirm.delay(order_id=order_id)
    """
EARLY = "caller-pause@after:publish#1 draft"
ROLLED_BACK = "caller-kill@after:publish#1 draft"


def lay_out(root: Path, place: str, unplaced: str = GIVES_UP) -> Target:
    texts = {name: textwrap.dedent(text) for name, text in FILES.items()}
    texts["shop/till.py"] = texts["shop/till.py"].replace("PLACE", textwrap.dedent(place))
    texts["shop/tasks.py"] = texts["shop/tasks.py"].replace("UNPLACED", unplaced)
    spec = ".skillrun/jobs/confirm.yaml"
    if unplaced is TRIES_AGAIN:
        none = "retry: {kind: none, reason: a person looks at it}"
        some = "retry: {max_attempts: 5, backoff: {kind: fixed, base: 5s}}"
        texts[spec] = texts[spec].replace(
            none, f'failures: {{transient: [{{type: "shop.tasks:NoSuchOrder"}}]}}\n{some}'
        )
    if place is OUTBOX:
        relay = '7}, relay: "shop.till:publish_rest"}\nidempotency'
        texts[spec] = texts[spec].replace("7}}\nidempotency", relay)
    helpers.build_tree(root, texts)
    return Target(load_spec(root / spec, root=root), root, "celery")


def list_planned(proof: Proof) -> list[str]:
    return [str(schedule) for schedule in proof.plan.schedules if schedule.undone]


@pytest.mark.parametrize("schedule", [EARLY, ROLLED_BACK])
@pytest.mark.parametrize(
    "place", [WITHIN, BEFORE, BY_STEPS, BY_SESSION], ids=["within", "before", "by-steps", "session"]
)
@pytest.mark.real
def test_a_publish_before_the_commit_is_seen_although_the_fixture_is_past_it(
    place: str, schedule: str, tmp_path: Path
) -> None:
    proof = prove(lay_out(tmp_path, place), only=schedule)
    assert proof.verdict == "refuted"
    rules = {witness.judgement.rule for witness in proof.witnesses}
    assert rules & {"dead-letter.unexpected", "effect.lost"}


@pytest.mark.parametrize("place", [AFTER, OUTBOX], ids=["after", "outbox"])
@pytest.mark.real
def test_who_publishes_after_the_commit_has_no_such_schedule(place: str, tmp_path: Path) -> None:
    proof = look(lay_out(tmp_path, place))
    assert list_planned(proof) == []
    assert [one.rule for one in proof.incomplete] == []


@pytest.mark.real
def test_a_worker_that_waits_for_the_commit_is_not_refuted(tmp_path: Path) -> None:
    """What is not placed yet is tried again: the message may come as early as it likes."""
    target = lay_out(tmp_path, WITHIN, TRIES_AGAIN)
    assert sorted(list_planned(look(target))) == [ROLLED_BACK, EARLY]
    proof = prove(target, only=EARLY)
    assert (proof.verdict, proof.risks) == ("proved", [])


@pytest.mark.real
def test_where_no_draft_is_found_the_open_transaction_is_a_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (publisher.before_commit,))
    proof = prove(lay_out(tmp_path, NOTHING_READ))
    assert [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks] == [
        ("publish-uncommitted", "lost")
    ]


@pytest.mark.real
def test_a_job_that_runs_for_a_call_that_failed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries have shown that it ends well; that it should not have run is left."""
    monkeypatch.setattr(registry, "FAMILIES", (publisher.before_commit,))
    proof = prove(lay_out(tmp_path, WITHIN, TRIES_AGAIN))
    assert [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks] == [
        ("publish-uncommitted", "minor")
    ]


DEFER = """\
    with app.open():
        remind.defer(appointment_id=appointment_id, phone=phone)
"""


@pytest.mark.real
@pytest.mark.parametrize("is_within", [True, False])
def test_a_row_that_another_connection_writes_is_published_before_the_commit(
    is_within: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Procrastinate's messages are rows: of which transaction, their connection says."""
    monkeypatch.setattr(registry, "FAMILIES", (publisher.before_commit,))
    name, edits = "procrastinate_reminder", []
    if is_within:
        edits = [("clinic/desk.py", DEFER, textwrap.indent(DEFER, "    "))]
    root = corpus.build(name, corpus.Mutant("H", "", tuple(edits)), tmp_path.resolve() / name)
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    proof = prove(Target(spec, root, corpus.load(name).DRIVER))
    assert ("publish-uncommitted" in {risk.judgement.rule for risk in proof.risks}) is is_within


def test_the_values_that_a_column_may_have_had() -> None:
    rows = [{"state": "placed", "name": "Rosa", "sent": 1, "at": "2026-01-01"}] * 2
    rows += [{"state": "basket", "name": "Ben", "sent": 1, "at": "2026-01-01"}]
    assert list_values(rows, "state", ["packed"]) == ["packed", "placed", "basket", None]
    assert list_values(rows, "sent", []) == [0, None]
    assert list_values(rows, "at", []) == [None]


def sql(verb: str, *, is_open: bool) -> Event:
    told = {"kind": "sql", "when": "after", "verb": verb, "store": "db", "open": is_open}
    return Event(1, "at", told)


PUBLISHED = Event(2, "at", {"kind": "publish", "when": "before", "to_handler": True})
COMMIT = Event(3, "at", {"kind": "commit", "when": "before", "store": "db"})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([sql("insert", is_open=True), PUBLISHED, COMMIT], True),
        ([sql("select", is_open=True), PUBLISHED, sql("update", is_open=True), COMMIT], True),
        ([sql("select", is_open=True), PUBLISHED, COMMIT], False),
        ([sql("insert", is_open=True), COMMIT, PUBLISHED], None),
        ([sql("insert", is_open=False), PUBLISHED], None),
    ],
)
def test_the_connection_tells_whether_a_publish_stands_in_a_transaction(
    events: list[Event], expected: bool | None
) -> None:
    found = find_uncommitted(events)
    assert (found[1] if found else None) is expected


def test_other_families_are_not_asked() -> None:
    assert list(judge(history("once", []), reference())) == []
