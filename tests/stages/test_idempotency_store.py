"""The dedupe store: unique, written, asked, and kept long enough."""

from __future__ import annotations

import pytest
from cases import GONE, SENT, SILENT, build, examine, finding, has, rules, with_task

NOT_UNIQUE = {
    "shop/schema.sql": "CREATE TABLE receipts (\n  order_id INT, -- UNIQUE\n  email TEXT\n);\n"
}


def test_a_store_without_unique_fails_at_the_table(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", NOT_UNIQUE))
    found = finding(result, "idempotency.store-not-unique")
    assert (result.status, found.path, found.line) == ("failed", "shop/schema.sql", 1)


def test_one_unique_key_column_is_taken_for_the_key_and_that_is_said(tmp_path):
    column = {
        "shop/schema.sql": (
            "CREATE TABLE receipts (id INT PRIMARY KEY, dedupe_key TEXT NOT NULL UNIQUE);\n"
        )
    }
    result = examine("idempotency", build(tmp_path / "repo", column))
    assert "not verified" in finding(result, "idempotency.key-column").message
    assert not has(result, "idempotency.store-not-unique")


MODELS = """
    from sqlalchemy import Table
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
    class Base(DeclarativeBase): ...
    class Sent(Base):
        __tablename__ = "receipts"
        order_id = mapped_column(unique=True)
    class Other(Base):
        __tablename__ = "others"
    """
WRITTEN = {
    "sql": "db.execute('INSERT OR IGNORE INTO receipts VALUES (?)', (order_id,))",
    "sql in a helper": "mark(order_id)",
    "sql of a constant": "db.execute(MARK, (order_id,))",
    "sql with the table's name put in": (
        "db.execute(f'INSERT INTO {TABLE} VALUES (?) ON CONFLICT DO NOTHING')"
    ),
    "update": "db.execute('UPDATE receipts SET sent = 1 WHERE order_id = ?', (order_id,))",
    "class": "session.merge(models.Sent(order_id=order_id))",
    "statement": "session.execute(insert(Sent).values(order_id=order_id).on_conflict_do_nothing())",
    "manager": "Sent.objects.get_or_create(order_id=order_id)",
    "by name": "db['receipts'].upsert({'order_id': order_id})",
}
HELPERS = """
    from shop import models
    from shop.models import Other, Sent
    TABLE = "receipts"
    MARK = f"INSERT INTO {TABLE} VALUES (?) ON CONFLICT DO NOTHING"
    def mark(order_id):
        db.execute("insert into public.receipts values (?) on conflict do nothing", (order_id,))
    """
NOT_WRITTEN = {
    "nothing": "pass",
    "only read": "db.execute('SELECT 1 FROM receipts WHERE order_id = ?', (order_id,))",
    "a table alike": "db.execute('INSERT INTO receipts_old VALUES (?)', (order_id,))",
    "another class": "session.add(Other(order_id=order_id))",
    "a helper that nobody calls": "print(TABLE)",
    "only deleted": "db.execute('DELETE FROM receipts')",
}
HIDDEN = {
    "parameter": "email.store.save(order_id)",
    "what the task holds": "self.store.mark_done(order_id)",
    "sql of a variable": "db.execute(order_id)",
    "a table of a variable": "db.execute(f'INSERT INTO {email} VALUES (1)')",
}


def stored(root, body):
    return with_task(root, SENT + body, HELPERS, mailer=SILENT, models=MODELS)


@pytest.mark.parametrize("body", WRITTEN.values(), ids=WRITTEN)
def test_a_written_store_is_left_alone(tmp_path, body):
    result = stored(tmp_path / "repo", body)
    assert (rules(result), result.grade) == ([], "static")
    assert not has(result, "idempotency.store-not-used") and not has(
        result, "idempotency.store-not-checked"
    )


@pytest.mark.parametrize("body", NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_a_store_that_is_never_written_fails(tmp_path, body):
    found = finding(stored(tmp_path / "repo", body), "idempotency.store-not-written")
    assert found.severity == "error" and (found.path, bool(found.line)) == ("shop/tasks.py", True)


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_followed_is_a_warning(tmp_path, body):
    result = stored(tmp_path / "repo", body)
    found = finding(result, "idempotency.store-not-used")
    assert (found.severity, result.status, result.grade) == ("warning", "passed", "declared")
    assert "not followed: shop/tasks.py:" in found.message


def test_a_row_that_no_second_delivery_looks_at_is_said(tmp_path):
    insert = "db.execute('INSERT INTO receipts VALUES (?)', (order_id,))"
    assert (
        finding(stored(tmp_path / "a", insert), "idempotency.store-not-checked").severity
        == "warning"
    )
    read = "if db.execute('SELECT 1 FROM receipts'): return\n"
    caught = f"try:\n    {insert}\nexcept IntegrityError:\n    return"
    for number, body in enumerate((read + insert, caught)):
        assert not has(stored(tmp_path / str(number), body), "idempotency.store-not-checked")


def test_an_orm_class_counts_as_use_of_its_table(tmp_path):
    models = """
        from sqlalchemy.orm import DeclarativeBase, mapped_column
        class Base(DeclarativeBase): ...
        class Sent(Base):
            __tablename__ = "receipts"
            order_id = mapped_column(unique=True)
        """
    body = "mailer.send(order_id, email, idempotency_key=f'r-{order_id}')\nSent(order_id=order_id)"
    result = with_task(tmp_path / "repo", body, "from shop.models import Sent", models=models)
    assert not has(result, "idempotency.store-not-used")


def test_other_stores_are_not_judged_in_silence(tmp_path):
    result = examine(
        "idempotency",
        build(tmp_path / "repo", changes={"idempotency.dedupe.store": "dynamodb jobs"}),
    )
    assert rules(result) == []
    assert finding(result, "idempotency.store-not-judged").severity == "note"
    assert result.grade == "declared"


def test_the_receiver_as_store_needs_a_keyed_effect(tmp_path):
    changes = {"idempotency.dedupe": {"store": "receiver"}}
    result = examine("idempotency", build(tmp_path / "a", changes=changes))
    assert (rules(result), result.grade) == ([], "declared")
    changes |= {"effects.0.guarantee": "at_least_once", "effects.0.reason": "twice is fine"}
    assert "idempotency.no-receiver" in rules(
        examine("idempotency", build(tmp_path / "b", changes=changes))
    )


REDIS = "import redis\nclient = redis.Redis()"
SEND = "mailer.send(order_id, email, idempotency_key=f'receipt-{order_id}')"


def redis_case(root, claim):
    text = "\n".join(
        [
            REDIS,
            "from shop import mailer",
            "from shop.celery import app",
            "@app.task(bind=True)",
            "def send_receipt(self, order_id, email):",
            f"    if not {claim}:",
            "        return",
            f"    {SEND}",
        ]
    )
    changes = {"idempotency.dedupe": {"store": "redis key receipt:{order_id}", "window": "7d"}}
    return examine("idempotency", build(root, {"shop/tasks.py": text + "\n"}, changes))


@pytest.mark.real
def test_redis_set_nx_is_compared_with_the_window(tmp_path):
    assert (
        rules(redis_case(tmp_path / "a", "client.set(f'r:{order_id}', 1, nx=True, ex=7 * 86400)"))
        == []
    )
    assert rules(redis_case(tmp_path / "b", "client.setnx(f'r:{order_id}', 1)")) == []
    short = redis_case(tmp_path / "c", "client.set(f'r:{order_id}', 1, nx=True, ex=60)")
    assert "the key is kept for 1m" in finding(short, "idempotency.window-too-short").message
    differs = redis_case(tmp_path / "d", "client.set(f'r:{order_id}', 1, nx=True, ex=86400)")
    assert "the spec promises 7d" in finding(differs, "idempotency.window-differs").message


LEASE = """
from shop.store import once

@app.task(bind=True)
def send_receipt(self, order_id, email):
    with once(order_id) as first:
        if first:
            mailer.send(order_id, email, idempotency_key=f"r-{order_id}")
"""
ONCE = """
from contextlib import contextmanager
import redis
client = redis.Redis()

@contextmanager
def once(order_id):
    key = f"r:{order_id}"
    if not client.set(key, "token", nx=True, px=60_000):
        yield client.get(key) != "done"
        return
    yield True
    client.set(key, "done", ex=MARK)
"""


def test_a_lease_may_be_short_where_a_mark_takes_its_place(tmp_path):
    def found(name, mark):
        head = "from shop import mailer\nfrom shop.celery import app\n"
        files = {"shop/tasks.py": head + LEASE, "shop/store.py": ONCE.replace("MARK", mark)}
        changes = {"idempotency.dedupe": {"store": "redis key r:{order_id}", "window": "7d"}}
        return examine("idempotency", build(tmp_path / name, files, changes))

    assert rules(found("long", "604_800")) == []
    assert rules(found("short", "60")) == ["idempotency.window-too-short"]


def test_redis_without_an_atomic_step_is_not_judged(tmp_path):
    result = redis_case(tmp_path / "a", "client.set(f'r:{order_id}', 1)")
    assert has(result, "idempotency.store-not-judged")
    assert result.grade == "declared"
    result = redis_case(tmp_path / "b", "client.set(f'r:{order_id}', 1, nx=True, ex=settings.TTL)")
    assert "could not be read" in finding(result, "idempotency.store-not-judged").message


def test_windows_are_compared_with_the_horizon_and_the_numbers_are_shown(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo"))
    notes = [f.message for f in result.findings if f.rule == "idempotency.window"]
    horizon = "backoff 30s (5 attempts) + acceptable delay 15m + redelivery 0s = 15m30s"
    assert notes == [
        f"dedupe.window 7d outlasts the retry horizon: {horizon}",
        f"window of effect email 1d outlasts the retry horizon: {horizon}",
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("idempotency.dedupe.window", "dedupe.window"),
        ("effects.0.window", "window of effect email"),
    ],
)
def test_a_window_shorter_than_the_horizon_fails(tmp_path, path, name):
    result = examine("idempotency", build(tmp_path / "a", changes={path: "15m"}))
    message = finding(result, "idempotency.window-too-short").message
    assert message.startswith(f"{name} 15m is shorter than the retry horizon: backoff 30s")
    assert rules(examine("idempotency", build(tmp_path / "b", changes={path: "16m"}))) == []


def test_the_longer_of_code_and_spec_counts(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, autoretry_for=(TimeoutError,), max_retries=10, default_retry_delay=3600)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine(
        "idempotency",
        build(tmp_path / "repo", {"shop/tasks.py": tasks}, {"effects.0.window": "2h"}),
    )
    assert "idempotency.window-too-short" in rules(result)


def test_no_window_outlasts_a_retry_without_end(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, autoretry_for=(TimeoutError,), max_retries=None)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine("idempotency", build(tmp_path / "repo", {"shop/tasks.py": tasks}))
    assert (
        "cannot outlast a retry without end"
        in finding(result, "idempotency.window-too-short").message
    )


def test_redelivery_counts_where_messages_are_acknowledged_late(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, acks_late=True)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine("idempotency", build(tmp_path / "repo", {"shop/tasks.py": tasks}))
    said = finding(result, "idempotency.window").message
    assert "redelivery 5h (attempts x visibility timeout)" in said


def test_redelivery_is_unknown_until_the_handler_exists(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"handler": GONE}))
    assert (
        "redelivery unknown until the handler exists"
        in finding(result, "idempotency.window").message
    )


def test_a_receiver_without_a_window_is_said(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"effects.0.window": GONE}))
    assert finding(result, "idempotency.no-receiver-window").severity == "note"
