"""What tests replace is an effect only where it lies at the edge: a stand-in for what the job is for
would be all that a proof sees.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import helpers
import pytest
from watched_deliveries import call, delivery, observe, seen, store

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.draft import make_edges
from skillrun.skills.job_worker.drafting.edges import Position
from skillrun.skills.job_worker.drafting.hollow import HollowCalls
from skillrun.skills.job_worker.drafting.observed import add_observed

POST = "requests.post('https://x.example', json=[order_id], timeout=5)"
WRITES = "connection.execute('update orders set paid = 1 where id = ?', [order_id])"

# What a function of the house does -> where it lies.
FUNCTIONS: dict[str, tuple[Position, str]] = {
    "posts": (Position.EDGE, f"return {POST}"),
    "posts_by_a_helper": (Position.EDGE, "return post(order_id)"),
    "tries_thrice": (Position.EDGE, f"for attempt in range(3):\n        {POST}"),
    "chooses": (Position.EDGE, f"if order_id:\n        {POST}\n    else:\n        {POST}"),
    "leaves_early": (Position.EDGE, f"if order_id:\n        return {POST}\n    {POST}"),
    "falls_back": (Position.EDGE, f"try:\n        {POST}\n    except OSError:\n        {POST}"),
    "asks_after_a_conflict": (
        Position.EDGE,
        f"answer = {POST}\n    if answer.status_code == 409:\n        return find(order_id)\n"
        "    return answer",
    ),
    "asks_another_way_in_any_case": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == 409:\n        logger.info('again')\n"
        "    return find(order_id)",
    ),
    "makes_what_is_not_there": (
        Position.EDGE,
        f"answer = {POST}\n    if answer.status_code in (404, 410):\n        {POST}",
    ),
    "goes_on_after_success": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == 200:\n        {POST}",
    ),
    "makes_two_of_what_is_not_there": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == 404:\n        {POST}\n        {POST}",
    ),
    "makes_one_or_the_other": (
        Position.EDGE,
        f"answer = {POST}\n    if answer.status_code == 404:\n        {POST}\n"
        f"    elif answer.status_code == 409:\n        {POST}",
    ),
    "makes_each_that_is_not_there": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == 404:\n        for one in order_id:\n"
        f"            {POST}",
    ),
    "asks_again_after_a_timeout": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == 408:\n        {POST}",
    ),
    "asks_for_an_order": (Position.WORK, f"{POST}\n    if order_id == 409:\n        {POST}"),
    "asks_for_no_status": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code in ():\n        {POST}",
    ),
    "asks_for_a_list": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code in ([404],):\n        {POST}",
    ),
    "asks_for_two_things": (
        Position.WORK,
        f"answer = {POST}\n    if answer.status_code == order_id == 404:\n        {POST}",
    ),
    "asks_in_any_case": (Position.WORK, f"{POST}\n    return find(order_id)"),
    "is_abstract": (Position.EDGE, "raise NotImplementedError"),
    "calls_one_library": (Position.EDGE, "pushes.push(order_id)"),
    "writes_a_row": (Position.WORK, f"{POST}\n    {WRITES}"),
    "sends_a_job": (Position.WORK, "tasks.send_receipt.delay(order_id, 'a@example.com')"),
    "posts_twice": (Position.WORK, f"{POST}\n    {POST}"),
    "posts_for_each": (Position.WORK, f"for one in order_id:\n        {POST}"),
    "calls_an_adapter": (Position.WORK, "carrier.book(order_id)"),
    "Service": (Position.WORK, ""),
    "only_tells": (Position.INSIDE, "logger.info('order %s', order_id)"),
    "tells_the_time": (Position.WORK, "return datetime.datetime.now()"),
    "computes": (Position.INSIDE, "return order_id * 2"),
    "calls_a_library_often": (Position.UNCLEAR, "pushes.open()\n    pushes.push(order_id)"),
}
HEAD = """import datetime
import logging

import pushes
import requests

from shop import carrier, tasks

logger = logging.getLogger(__name__)


def post(order_id):
    return requests.post("https://x.example", json=[order_id], timeout=5)


def find(order_id):
    return requests.request("GET", f"https://x.example/{order_id}", timeout=5)


class Service:
    def settle(self, order_id):
        post(order_id)
"""
CARRIER = """
    import requests


    def book(order_id):
        requests.post("https://carrier.example", json=[order_id], timeout=5)
    """


def lay_house(root: Path) -> Path:
    text = HEAD
    for name, (_, body) in FUNCTIONS.items():
        if body:
            text += f"\n\ndef {name}(order_id, connection=None):\n    {body}\n"
    helpers.write_files(root, {"shop/house.py": text.encode(), "shop/carrier.py": CARRIER})
    return root


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_lies_where_its_code_says(name: str, shop: Path) -> None:
    edges = make_edges(open_reader(lay_house(shop)))
    reading = edges.read(f"shop.house:{name}")
    assert reading.position is FUNCTIONS[name][0], reading
    assert (reading.why == "") == (reading.position is Position.EDGE)


@pytest.mark.real
def test_the_functions_of_a_library_are_edges(shop: Path) -> None:
    edges = make_edges(open_reader(shop))
    assert edges.read("requests:post").position is Position.EDGE


def drop_from(root: Path, path: str, body: str | None = None, **changes: Any) -> Any:
    """(paths of the calls that are kept, what is run as it is)."""
    hollow = HollowCalls(make_edges(open_reader(root)), body, ())
    made = delivery(calls=(call(path=path, arguments={"order_id": 7}, **changes),))
    (kept,) = hollow.drop_from(seen(made)).deliveries
    return [one.path for one in kept.calls], {opened for opened, _ in hollow.opened}


@pytest.mark.real
def test_a_stand_in_for_work_shows_nothing(shop: Path) -> None:
    lay_house(shop)
    for name in ("writes_a_row", "posts_twice", "calls_an_adapter", "Service", "only_tells"):
        path = f"shop.house:{name}"
        assert drop_from(shop, path, returned=None) == ([], {path})


def test_a_stand_in_of_a_test_file_is_named_by_what_it_stands_for(shop: Path) -> None:
    lay_house(shop)
    path = "tests/test_x.py:Fake.writes_a_row"
    assert drop_from(shop, path, is_stand_in=True) == ([], {"shop.house:writes_a_row"})


@pytest.mark.real
def test_an_adapter_and_an_answer_are_kept(shop: Path) -> None:
    """A job asks what only computes something, and the test says what it answers."""
    lay_house(shop)
    for name in ("posts", "calls_a_library_often"):
        assert drop_from(shop, f"shop.house:{name}", returned=None)[0] == [f"shop.house:{name}"]
    assert drop_from(shop, "shop.house:computes", returned=14)[0] == ["shop.house:computes"]


def test_what_really_ran_is_kept(shop: Path) -> None:
    lay_house(shop)
    path = "shop.house:writes_a_row"
    assert drop_from(shop, path, is_replaced=False) == ([path], set())


def test_what_the_handler_hands_its_work_to_is_the_job(shop: Path) -> None:
    """But for an adapter, which is the edge, however little the handler does."""
    lay_house(shop)
    path = "shop.house:calls_a_library_often"
    assert drop_from(shop, path, body=path) == ([], {path})
    assert drop_from(shop, "shop.house:posts", body="shop.house:posts")[1] == set()


@pytest.mark.real
def test_the_ways_out_of_what_is_run_are_effects(shop: Path) -> None:
    lay_house(shop)
    one = dataclasses.replace(delivery(calls=()), test="tests/test_x.py::test_sends")
    draft = observe(shop, seen(one))
    assert draft.edges is not None
    draft.opened = {("shop.house:calls_an_adapter", one.test): "calls shop.carrier:book"}
    add_observed(draft, seen(one), open_reader(shop).project)
    assert "shop.carrier:book" in draft.list_calls()
    assert any("runs as it is" in guess for guess in draft.guesses)


@pytest.mark.real
def test_the_tables_that_replaced_work_may_write_are_asked_for(shop: Path) -> None:
    """No delivery has written them: the test's stand-in wrote nothing."""
    lay_house(shop)
    begun = dataclasses.replace(store(2), name="/tmp/pytest-1/app.db")
    one = delivery(calls=(), before=(begun,), after=(begun,))
    draft = observe(shop, seen(one))
    assert "sent" not in draft.values["proof"]["state"]
    draft.opened = {("shop.house:writes_a_row", one.test): "writes table orders"}
    add_observed(draft, seen(one), open_reader(shop).project)
    assert "sent" in draft.values["proof"]["state"]


SETTLES = """
    import requests

    from shop import db


    def settle(order_id):
        requests.post("https://bank.example", json=[order_id], timeout=5)
        with db.connect() as connection:
            connection.execute("update orders set status = 'paid' where id = ?", [order_id])
    """
THIN = """
    from shop import service
    from shop.queue import celery


    @celery.task
    def settle_order(order_id):
        order_id = int(order_id)
        service.settle(order_id)
    """
DB = """
    import os
    import sqlite3


    def connect():
        connection = sqlite3.connect(os.environ["SHOP_DB"])
        connection.execute("create table if not exists orders (id integer, status text)")
        return connection
    """
REPLACES = """
    from unittest import mock

    from shop import db, tasks


    def test_settles(tmp_path, monkeypatch):
        monkeypatch.setenv("SHOP_DB", str(tmp_path / "app.db"))
        with db.connect() as connection:
            connection.execute("insert into orders values (7, 'new')")
        with mock.patch("shop.service.settle") as settle:
            tasks.settle_order.run(7)
        settle.assert_called_once_with(7)
    """


@pytest.mark.real
def test_a_proof_runs_what_a_test_replaces(home: Path, tmp_path: Path) -> None:
    """A stand-in for the service that charges and writes a row was all that was proved."""
    queue = "from celery import Celery\n\ncelery = Celery('shop', broker='memory://')\n"
    queue += "celery.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)\n"
    files = {
        "shop/__init__.py": "",
        "shop/queue.py": queue,
        "shop/db.py": DB,
        "shop/service.py": SETTLES,
        "shop/tasks.py": THIN,
        "tests/test_tasks.py": REPLACES,
    }
    root = helpers.build_tree(tmp_path / "shop", files)
    words = ("prove", "settle_order", "--trust", "--json", "--schedule", "once")
    report = json.loads(helpers.run_cli(*words, cwd=root, timeout=600).stdout)
    assert [one["name"] for one in report["effects"]] == ["post"], report["incomplete"]
    assert any("shop.service:settle runs as it is" in one for one in report["drafted"]["guesses"])
