"""Somebody else commits to the rows of a job while it runs: who overwrites or ignores that is at risk."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import yaml
from histories import ACKED, history, reference
from plain_job import JOBS, SPEC, target_of

from skillrun.contract.job import Effect, JobSpec
from skillrun.core.verdict import RiskGrade
from skillrun.proof.assumptions import assumptions
from skillrun.proof.attempt import try_prove
from skillrun.proof.column_writers import ColumnWriters
from skillrun.proof.decisions import find_decisions, list_rivals, read_code
from skillrun.proof.families import registry, rivals
from skillrun.proof.judges.rivals import judge as judge_rivals
from skillrun.proof.result import Proof
from skillrun.proof.rivals import ChangedRow, Rival, Rivalry, make_other, name_change
from skillrun.proof.rows import Table
from skillrun.proof.services.find import find_postgres
from skillrun.proof.state import SqliteStore

SCHEMA = """
    import os
    import sqlite3

    db = sqlite3.connect(os.environ["APP_DB"])
    db.execute(
        "create table orders (id integer primary key, status text check (status in ('open', 'paid', 'void')),"
        " address text, version integer not null default 1)"
    )
    db.execute("create table problems (order_id integer)")
    db.execute("insert into orders (id, status, address) values (7, 'open', '1 Mill Lane')")
    db.commit()
"""
# Who else writes the column: as long as the order is open, nobody else cancels it.
DESK = """
    def cancel(db, order_id):
        db.execute("update orders set status = 'void' where id = ? and status = 'open'", (order_id,))
"""
# What stands between `def handle(order_id):` and the end: `db` is a connection of sqlite3.
AT_RISK = {
    "the row is written whole": (
        """
        row = db.execute("select status, address from orders where id = ?", (order_id,)).fetchone()
        if row[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        db.execute("update orders set status = 'paid', address = ? where id = ?", (row[1], order_id))
        """,
        {"rival-overwritten": RiskGrade.MONEY},
    ),
    "check, then act": (
        """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        db.execute("update orders set status = 'paid' where id = ?", (order_id,))
        """,
        {"rival-overwritten": RiskGrade.MONEY},
    ),
    "a guard whose answer nobody reads": (
        """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        db.execute("update orders set status = 'paid' where id = ? and status = 'open'", (order_id,))
        """,
        {"rival-ignored": RiskGrade.MONEY},
    ),
    "a claim without a condition": (
        """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] == "void":
            return
        db.execute("update orders set status = 'paid' where id = ?", (order_id,))
        db.commit()
        send(order_id, key=f"order-{order_id}")
        """,
        {"rival-overwritten": RiskGrade.MONEY},
    ),
    "a value that the job writes itself": (
        """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        try:
            send(order_id, key=f"order-{order_id}")
        except ValueError:
            db.execute("update orders set status = 'void' where id = ?", (order_id,))
            return
        db.execute("update orders set status = 'paid' where id = ? and status = 'open'", (order_id,))
        """,
        {"rival-ignored": RiskGrade.MINOR},
    ),
    "a guard that tells nobody": (
        """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        sql = "update orders set status = 'paid' where id = ? and status = 'open'"
        if not db.execute(sql, (order_id,)).rowcount:
            log.info("order_id=%s was no longer open", order_id)
        """,
        {"rival-ignored": RiskGrade.MONEY},
    ),
}
SAFE = {
    "a lock around all": """
        db.execute("begin immediate")
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        db.execute("update orders set status = 'paid' where id = ?", (order_id,))
        """,
    "a claim with a condition": """
        sql = "update orders set status = 'paid' where id = ? and status = 'open'"
        if not db.execute(sql, (order_id,)).rowcount:
            return
        db.commit()
        send(order_id, key=f"order-{order_id}")
        """,
    "a value that is written whatever was read": """
        sql = "update orders set status = 'paid', address = '1 Mill Lane' where id = ? and status = 'open'"
        if not db.execute(sql, (order_id,)).rowcount:
            return
        db.commit()
        send(order_id, key=f"order-{order_id}")
        """,
    "a guard that warns": """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        sql = "update orders set status = 'paid' where id = ? and status = 'open'"
        if not db.execute(sql, (order_id,)).rowcount:
            log.warning("order_id=%s was no longer open", order_id)
        """,
    "a guard that leaves a record": """
        if db.execute("select status from orders where id = ?", (order_id,)).fetchone()[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        sql = "update orders set status = 'paid' where id = ? and status = 'open'"
        if not db.execute(sql, (order_id,)).rowcount:
            db.execute("insert into problems values (?)", (order_id,))
        """,
    "a version": """
        row = db.execute("select status, version, address from orders where id = ?", (order_id,)).fetchone()
        if row[0] != "open":
            return
        send(order_id, key=f"order-{order_id}")
        sql = "update orders set status = 'paid', address = ?, version = version + 1 where id = ? and version = ?"
        if not db.execute(sql, (row[2], order_id, row[1])).rowcount:
            log.error("order_id=%s was changed meanwhile", order_id)
        """,
}


def test_what_the_job_leaves_where_it_fails_is_its_own_value(tmp_path: Path) -> None:
    """Who writes it is called by the library, and not by the handler."""
    desk = """
        def bury(db, order_id):
            db.execute("update orders set status = 'dead' where id = ?", (order_id,))
    """
    root = helpers.build_tree(tmp_path / "repo", {"desk.py": desk, "jobs.py": "def handle(): ..."})
    table = Table("orders", ("id", "status"), ("id",), frozenset())
    row = ChangedRow(table, {"id": 7, "status": "open"}, {"id": 7, "status": "paid"})
    store = SqliteStore(tmp_path / "none.db")

    def grade(*ends: tuple[str, str, str]) -> bool:
        found = list_rivals(store, root, "jobs:handle", (), [row], (), ends)
        (decision,) = [one for one in found if one.is_decision]
        return decision.is_minor

    assert not grade()
    assert grade(("orders", "status", "dead"))
    assert not grade(("orders", "status", "void"))


def proof_beside_rivals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    desk: str = DESK,
    **asked: list[str],
) -> Proof:
    """The single run and the rivals' schedules of a handler, nothing else."""
    monkeypatch.setattr(registry, "FAMILIES", (rivals.rival,))
    head, _, _ = textwrap.dedent(JOBS).partition("    log.info(")
    inner = textwrap.indent(textwrap.dedent(body), " " * 8)
    jobs = f"{head}    with closing(sqlite3.connect(DB)) as db, db:\n{inner}"
    state = {"orders": "select id, status from orders order by 1"}
    proof = {**SPEC["proof"], "state": state, **asked}
    spec = {**SPEC, "trigger": {"type": "event"}, "proof": proof}
    files = {
        "jobs.py": jobs,
        "schema.py": SCHEMA,
        "desk.py": desk,
        ".skillrun/jobs/handle-order.yaml": yaml.safe_dump(spec),
    }
    return try_prove(target_of(helpers.build_tree(tmp_path / "repo", files)))


@pytest.mark.parametrize("name", AT_RISK)
@pytest.mark.real
def test_a_rival_that_is_overwritten_or_ignored_is_a_risk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    body, expected = AT_RISK[name]
    proof = proof_beside_rivals(tmp_path, monkeypatch, body)
    found = {risk.judgement.rule: risk.judgement.grade for risk in proof.risks}
    assert found == expected
    assert all(risk.stable for risk in proof.risks)


@pytest.mark.parametrize("body", SAFE.values(), ids=SAFE)
@pytest.mark.real
def test_who_keeps_a_rival_out_or_tells_of_it_is_at_no_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    proof = proof_beside_rivals(tmp_path, monkeypatch, body)
    assert any(schedule.family == "rival" for schedule in proof.plan.schedules)
    assert proof.risks == []


OVERWRITES, IGNORES = AT_RISK["check, then act"][0], AT_RISK["a guard that tells nobody"][0]
ANY_TIME = """
    def cancel(db, order_id):
        db.execute("update orders set status = 'void' where id = ?", (order_id,))
"""
BEFORE_IT_IS_DUE = """
    def discard(db, order_id):
        db.execute("update orders set status = 'void' where id = ? and status = 'basket'", (order_id,))
"""
OF_ANOTHER_TABLE = """
    def recall(db, letter_id):
        db.execute("update letters set status = 'void' where id = ?", (letter_id,))
"""


@pytest.mark.parametrize(
    ("body", "desk", "expected"),
    [
        (OVERWRITES, ANY_TIME, {"rival-overwritten": RiskGrade.MONEY}),
        (IGNORES, ANY_TIME, {}),
        (IGNORES, BEFORE_IT_IS_DUE, {}),
        (IGNORES, OF_ANOTHER_TABLE, {"rival-ignored": RiskGrade.MINOR}),
        (OVERWRITES, "", {"rival-overwritten": RiskGrade.MINOR}),
    ],
    ids=["overwritten-later", "later", "not-from-there", "another-table", "nobody"],
)
@pytest.mark.real
def test_who_can_write_it_says_what_a_rival_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    desk: str,
    expected: dict[str, RiskGrade],
) -> None:
    """Who may cancel an order that is paid could have come after the job; who asks for a basket
    cannot come at all; and what nobody writes comes from somebody's hand at most.
    """
    proof = proof_beside_rivals(tmp_path, monkeypatch, body, desk)
    found = {risk.judgement.rule: risk.judgement.grade for risk in proof.risks}
    assert found == expected


WRITTEN_WHOLE = """
        row = db.execute("select status, address from orders where id = ?", (order_id,)).fetchone()
        sql = "update orders set status = 'paid', address = ? where id = ? and status = 'open'"
        if not db.execute(sql, (row[1], order_id)).rowcount:
            return
        db.commit()
        send(order_id, key=f"order-{order_id}")
        """
MOVES = """
    def move(db, order_id, address):
        db.execute("update orders set address = ? where id = ?", (address, order_id))
"""


@pytest.mark.parametrize(
    ("desk", "grade"), [(MOVES, RiskGrade.LOST), ("", RiskGrade.MINOR)], ids=["moved", "by hand"]
)
@pytest.mark.real
def test_a_change_that_no_code_makes_is_minor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desk: str, grade: RiskGrade
) -> None:
    proof = proof_beside_rivals(tmp_path, monkeypatch, WRITTEN_WHOLE, desk)
    assert [(one.judgement.rule, one.judgement.grade) for one in proof.risks] == [
        ("rival-overwritten", grade)
    ]


CHANGES = {
    "an attribute": "def f(order: Order):\n    order.total = 1",
    "a query": "def f():\n    Order.objects.filter(id=1).update(total=1)",
    "what a caller names": "def f(order: Order, **more):\n    setattr(order, 'x', 1)",
    "a dictionary": "def f(**more):\n    Order.objects.filter(id=1).update(**more)",
    "SQL": "SQL = 'update orders set paid = 1, total = ? where id = ?'",
    "an admin page": "@admin.register(Order)\nclass OrderAdmin: ...",
    "a form": "class F(ModelForm):\n    class Meta:\n        model = Order",
}
NO_CHANGES = {
    "a row that is made": "def f():\n    Order.objects.get_or_create(id=1, defaults={'total': 1})",
    "another table": "def f(letter: Letter):\n    letter.total = 1",
    "a row that is new": "def f():\n    Order(total=1).save()",
    "what is asked for": "SQL = 'select total from orders where total = 1'",
}
MODELS = (
    "class Order:\n    __tablename__ = 'orders'\nclass Letter:\n    __tablename__ = 'letters'\n"
)


@pytest.mark.parametrize(
    ("text", "changes"),
    [(text, True) for text in CHANGES.values()] + [(text, False) for text in NO_CHANGES.values()],
    ids=[*CHANGES, *NO_CHANGES],
)
def test_who_may_change_a_column(text: str, changes: bool) -> None:
    writers = ColumnWriters([ast.parse(MODELS + text)])
    assert writers.may_change("orders", "total", ()) is changes


@pytest.mark.real
def test_the_spec_adds_rivals_and_leaves_some_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    void = "orders.status:void"
    proof = proof_beside_rivals(tmp_path / "a", monkeypatch, OVERWRITES, not_rivals=[void])
    assert proof.risks == []
    said = assumptions(proof, target_of(tmp_path / "a" / "repo"))
    assert any("orders.status:void: said to be committed by nobody" in one for one in said)
    moved = {"rivals": ["orders.address:5%20Hill%20Street", "orders.nothing:1"]}
    moved["not_rivals"] = [void, "orders.*"]
    proof = proof_beside_rivals(tmp_path / "b", monkeypatch, OVERWRITES, **moved)
    assert [risk.judgement.rule for risk in proof.risks] == ["rival-ignored"]
    missing = [one.message for one in proof.incomplete if one.rule == "rival.not-there"]
    assert len(missing) == 1
    assert "orders.nothing:1" in missing[0]


def test_decisions_come_from_enums_and_from_the_code_that_writes_them(tmp_path: Path) -> None:
    files = {
        "models.py": """
            from enum import Enum

            class Status(Enum):
                OPEN = "open"
                SENT = "sent"
                VOID = "void"
                SENDING = "sending"
        """,
        "desk.py": """
            def refund(order):
                order.status = Status.VOID

            def cancel(db, order_id):
                db.execute("update orders set status = 'cancelled' where id = ?", (order_id,))
        """,
        "tests/test_desk.py": """
            def test_it(order):
                order.status = "only in a test"
        """,
    }
    root = helpers.build_tree(tmp_path / "repo", files)
    code = read_code(root, {"status"})
    store = SqliteStore(tmp_path / "none.db")
    found = find_decisions(store, code, "orders", "status", ("open", "sent"))
    assert sorted(found) == ["cancelled", "void"]


@pytest.mark.parametrize(
    ("value", "other"),
    [(True, False), (0, 1), (41, 42), (1.5, 2.5), ("a", "a~"), ("41", "42"), (None, None)],
)
def test_another_value_is_of_the_same_kind(value: object, other: object) -> None:
    assert make_other(value) == other


def test_one_key_with_another_amount_is_told() -> None:
    """Between two attempts somebody changes the row that both read."""
    table, values = Table("orders", ("id", "cents"), ("id",), frozenset()), {"id": 1, "cents": 7}
    row = ChangedRow(table, values, values)
    text = "raise=app.mail:Away@after:email#1 rival=orders.*@before:select-orders#1/2"
    rivalry = Rivalry(name_change(row), 6, {"cents": 8}, {"cents": 8})

    def call(cents: int, **more: int) -> tuple[str, dict[str, object]]:
        plain = {"cents": str(cents), **more}
        shown = f"cents={cents}"
        done = {
            "effect": "email",
            "key": "order-1",
            "args": shown,
            "subject": shown,
            "plain": plain,
        }
        return ("performed", {"name": "email#1", **done})

    def judge(*calls: tuple[str, dict[str, object]]) -> list[tuple[str, str | None]]:
        seen = history(text, *[[one, ACKED] for one in calls], rivalries=(rivalry,))
        return [(one.rule, one.grade) for one in judge_rivals(seen, reference())]

    assert judge(call(7), call(8)) == [("key-reused", "money")]
    assert judge(call(7, pages=2), call(7, pages=3)) == [("key-reused", "minor")]
    assert judge(call(7), call(7)) == []
    assert judge(call(7, attempt=1), call(7, attempt=2)) == []
    rivalry = replace(rivalry, rival=name_change(row, {"cents"}))
    assert judge(call(7), call(8)) == [("key-reused", "minor")]


@pytest.mark.parametrize(
    ("name", "call", "grade"),
    [
        ("email", "app.mail:send", "minor"),
        ("reminder", "app.gate:text", "minor"),
        ("push_payout", "shop.payouts:push_payout", "money"),
        ("refund", "shop.notifications.billing:refund", "money"),
        ("notify_warehouse", "app.stock:notify_warehouse", "money"),
        ("capture", "mailorder.psp:capture", "money"),
        ("parcel", "app.carrier:send", "money"),
        ("charge", "app.bank:debit", "money"),
    ],
)
def test_a_message_too_many_costs_no_money(name: str, call: str, grade: str) -> None:
    """An order is paid while its reminder is on the way: the customer gets one line too many."""
    table = Table("orders", ("id", "state"), ("id",), frozenset())
    row = ChangedRow(table, {"id": 1, "state": "open"}, {"id": 1, "state": "open"})
    rival = Rival("orders.state:paid", row, "state", "paid")
    rivalry = Rivalry(rival, 1, {"state": "paid"}, {"state": "paid"})
    made = {"effect": name, "key": "1", "args": "", "plain": {}, "name": f"{name}#1"}
    seen = history(
        f"rival=orders.state:paid@before:{name}#1",
        [("performed", made), ACKED],
        rivalries=(rivalry,),
    )
    spec = JobSpec(version=1, job="job", effects=(Effect(name=name, call=call, key_arg="key"),))
    found = list(judge_rivals(seen, replace(reference(), spec=spec)))
    assert [(one.rule, one.grade) for one in found] == [("rival-ignored", grade)]


@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
@pytest.mark.real
@pytest.mark.parametrize("is_safe", [False, True])
def test_rivals_in_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_safe: bool
) -> None:
    """Its user is no superuser there; who holds the row FOR UPDATE keeps a rival out."""
    pytest.importorskip("psycopg")
    monkeypatch.setattr(registry, "FAMILIES", (rivals.rival,))
    lock = " for update" if is_safe else ""
    proof = {
        "env": {"APP_DB": "{postgresql}"},
        "services": ["postgresql"],
        "setup": "python schema.py",
        "database": "{postgresql}",
        "state": {"orders": "select id, status from orders order by 1"},
    }
    spec = {**SPEC, "trigger": {"type": "event"}, "proof": proof}
    files = {
        "jobs.py": IN_POSTGRESQL.replace("LOCK", lock),
        "desk.py": DESK,
        "schema.py": POSTGRESQL_SCHEMA,
        ".skillrun/jobs/handle-order.yaml": yaml.safe_dump(spec),
    }
    found = try_prove(target_of(helpers.build_tree(tmp_path / "repo", files)))
    rules = [(risk.judgement.rule, risk.judgement.grade) for risk in found.risks]
    assert rules == ([] if is_safe else [("rival-overwritten", RiskGrade.MONEY)])
    assert any(schedule.family == "rival" for schedule in found.plan.schedules)


POSTGRESQL_SCHEMA = """
    import os
    import psycopg

    with psycopg.connect(os.environ["APP_DB"]) as db:
        db.execute("create type stand as enum ('open', 'paid', 'void')")
        db.execute("create table orders (id integer primary key, status stand not null, details json)")
        db.execute("insert into orders values (7, 'open', '{}')")
"""
IN_POSTGRESQL = """
    import logging
    import os

    import psycopg

    log = logging.getLogger(__name__)


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def handle(order_id):
        log.info("handle started order_id=%s", order_id)
        with psycopg.connect(os.environ["APP_DB"]) as db:
            sql = "select status from orders where id = %sLOCK"
            if db.execute(sql, (order_id,)).fetchone()[0] != "open":
                return
            send(order_id, key=f"order-{order_id}")
            db.execute("update orders set status = 'paid' where id = %s", (order_id,))
        log.info("handle finished order_id=%s", order_id)
"""
