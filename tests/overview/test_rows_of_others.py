"""A job that no test calls works on the rows that tests of something else leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from watched_deliveries import observe

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import DeliverySeen, EndSeen, SeenInTests, StoreSeen, Table
from skillrun.skills.job_worker.drafting.rows_of_others import (
    Asked,
    add_rows_of_others,
    find_asked,
    find_table,
)
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

COLUMNS = (("id", "INTEGER", True), ("customer_id", "INTEGER", False), ("sent", "bool", False))
TASK = """
    from shop.celery import app
    from shop.models import Order


    @app.task(name="shop.send_receipt")
    def send_receipt(order_id):
        {body}
    """


def ask(root: Path, body: str) -> tuple[Asked, ...]:
    shops.shop(root)
    helpers.write_files(root, {"shop/tasks.py": TASK.format(body=body)})
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    return find_asked(reader.project, job.handler)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("Order.objects.select_related('x').get(pk=order_id)", Asked("Order", "", "order_id")),
        ("Order.query.get(order_id)", Asked("Order", "", "order_id")),
        ("session.get(Order, order_id)", Asked("Order", "", "order_id")),
        ("get_object_or_404(Order, number=order_id)", Asked("Order", "number", "order_id")),
        ("session.query(Order).filter_by(number=order_id)", Asked("Order", "number", "order_id")),
        ("Order.objects.filter(sent=False).delete()", Asked("Order")),
    ],
)
def test_the_code_says_which_row_a_message_means(body: str, asked: Asked, tmp_path: Path) -> None:
    assert ask(tmp_path / "shop", body) == (asked,)


def test_a_call_of_something_else_asks_for_no_row(tmp_path: Path) -> None:
    assert ask(tmp_path / "shop", "print(order_id)") == ()


@pytest.mark.parametrize(
    ("model", "tables", "found"),
    [
        ("Order", ["shop_order", "shop_orderline"], "shop_order"),
        ("OrderLine", ["order_lines", "orders"], "order_lines"),
        ("Order", ["shop_order", "old_order"], None),
    ],
)
def test_the_table_of_a_class_is_known_by_its_name(
    model: str, tables: list[str], found: str | None
) -> None:
    assert find_table(model, tables) == found


def end(*rows: tuple[Any, ...], passed: bool = True) -> EndSeen:
    orders = Table(COLUMNS, rows)
    store = StoreSeen("/tmp/t/app.db", "create table shop_order (id);", {"shop_order": orders})
    return EndSeen(passed, "", (store,), {"SHOP_DB": "/tmp/t/app.db"})


def make(asked: Asked, **ends: EndSeen) -> tuple[DeliverySeen, ...]:
    return add_rows_of_others(
        SeenInTests(), ends, [asked], {"order_id": "a", "how": "b"}
    ).deliveries


def test_the_message_leads_to_a_row_that_is_there() -> None:
    (made,) = make(Asked("Order", "customer", "order_id"), empty=end(), filled=end((3, 41, 0)))
    assert made.arguments == {"order_id": 41, "how": "b"}
    assert made.test == "filled"
    assert made.works_on == ("shop_order",)


def test_a_test_that_passes_leaves_better_rows() -> None:
    first, second = make(Asked("Order"), red=end((1, 1, 0), passed=False), green=end((2, 2, 0)))
    assert (first.test, second.test) == ("green", "red")


def test_what_no_test_leaves_is_not_made_up() -> None:
    assert make(Asked("Order"), empty=end()) == ()
    assert make(Asked("Customer"), filled=end((1, 1, 0))) == ()
    assert make(Asked("Order", "number", "order_id"), filled=end((1, 1, 0))) == ()


def test_a_draft_says_where_its_rows_come_from(shop: Path) -> None:
    ends = {"t.py::test_admin": end((7, 1, 0))}
    what = add_rows_of_others(SeenInTests(), ends, [Asked("Order", "", "order_id")], {})
    draft = observe(shop, what)
    assert draft.values["payload"]["examples"][0] == {"order_id": 7}
    state = {"shop_order": "select id, customer_id, sent from shop_order order by 1, 2, 3"}
    assert draft.values["proof"]["state"] == state
    assert draft.values["proof"]["env"]["SHOP_DB"] == "{scratch}/app.db"
    said = "payload: no test calls the job: the rows are those that t.py::test_admin leaves"
    assert any(guess.startswith(said) for guess in draft.guesses)


def test_what_the_job_looks_for_is_no_dead_letter(shop: Path) -> None:
    """A job that works on failures: their table is called as one of given up jobs is."""
    failed = Table(COLUMNS, ((7, 1, 0),))
    store = StoreSeen("/tmp/t/app.db", "create table failed_task (id);", {"failed_task": failed})
    ends = {"t.py::test_admin": EndSeen(True, "", (store,))}
    what = add_rows_of_others(SeenInTests(), ends, [Asked("FailedTask", "", "order_id")], {})
    proof = observe(shop, what).values["proof"]
    assert list(proof["state"]) == ["failed_task"]
    assert "dead_letters" not in proof or "failed_task" not in proof["dead_letters"]


MODELS = """
    import os
    import sqlite3


    class Query:
        def get(self, number):
            found = connect().execute("select id from orders where id = ?", (number,))
            return found.fetchone()


    class Order:
        query = Query()


    def connect():
        return sqlite3.connect(os.environ["SHOP_DB"])
    """
OF_ADMIN = """
    from shop import models


    def test_admin(tmp_path, monkeypatch):
        monkeypatch.setenv("SHOP_DB", str(tmp_path / "app.db"))
        connection = models.connect()
        connection.execute("create table orders (id integer primary key, sent int)")
        connection.execute("insert into orders values (41, 0)")
        connection.commit()
        assert models.Order.query.get(41)
    """


@pytest.mark.real
def test_rows_of_a_test_of_something_else_are_watched(home: Path, tmp_path: Path) -> None:
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    for old in (root / "tests").glob("test_*.py"):
        old.unlink()
    code = {"shop/models.py": MODELS, "tests/test_admin.py": OF_ADMIN}
    helpers.write_files(
        root, {**code, "shop/tasks.py": TASK.format(body="Order.query.get(order_id)")}
    )
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft, fixtures = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.values["payload"]["examples"][0] == {"order_id": 41}
    assert fixtures is not None
    assert 'INSERT INTO "orders" VALUES(41,0)' in fixtures.script
    assert draft.values["proof"]["env"]["SHOP_DB"] == "{scratch}/app.db"
