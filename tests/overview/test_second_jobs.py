"""Where the tests know one job, others are made of it: with another name, and copies of its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from skillrun.proof.fixtures.seen import Table
from skillrun.skills.job_worker.drafting.annotated import write_annotated
from skillrun.skills.job_worker.drafting.classify import keep_second_jobs
from skillrun.skills.job_worker.drafting.draft import Draft
from skillrun.skills.job_worker.drafting.observed import ONE_JOB
from skillrun.skills.job_worker.drafting.second_jobs import SecondJob, find_second_jobs

SCHEMA = """
create table orders (id integer primary key, customer_id integer, code text unique, state text);
create table order_lines (id integer primary key, order_id integer, what text);
create table parcels (shipment_id integer, parcel integer, grams integer,
                      primary key (shipment_id, parcel));
create table jobs_log (id integer primary key, what text);
insert into orders values (7, 3, 'A-7', 'paid'), (8, 4, 'A-8', 'sent');
insert into order_lines values (1, 7, 'tea'), (2, 7, 'cup'), (3, 8, 'pot');
insert into parcels values (1, 1, 900), (1, 2, 400);
"""


def read_tables() -> dict[str, Table]:
    found = {}
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(SCHEMA)
        for name in ("orders", "order_lines", "parcels", "jobs_log"):
            info = connection.execute(f"pragma table_info({name})").fetchall()
            columns = tuple((row[1], row[2], bool(row[5])) for row in info)
            rows = tuple(connection.execute(f"select * from {name}"))
            unique = frozenset({"code"} if name == "orders" else ())
            found[name] = Table(columns, rows, unique)
    return found


def read_after(job: SecondJob, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(SCHEMA + "\n".join(job.statements))
        return connection.execute(query).fetchall()


def test_a_second_job_has_rows_like_the_first_one_s() -> None:
    (job,) = find_second_jobs({"order_id": 7, "loud": True}, read_tables())
    # 8 is some other order, which the job may have nothing to do for.
    assert job.payload == {"order_id": 9, "loud": True}
    assert not job.is_doubtful
    (copy,) = read_after(job, "select customer_id, code, state from orders where id = 9")
    assert copy[0] == 3
    assert copy[1] != "A-7"
    assert copy[2] == "paid"
    lines = read_after(job, "select what from order_lines where order_id = 9 order by 1")
    assert lines == [("cup",), ("tea",)]


def test_fields_that_name_a_row_together_are_told_apart_one_by_one() -> None:
    """With the shipment alone as a key its parcels would share a label."""
    jobs = find_second_jobs({"shipment_id": 1, "parcel": 2}, read_tables())
    assert [job.fields for job in jobs] == [
        ("shipment_id", "parcel"),
        ("shipment_id",),
        ("parcel",),
    ]
    of_shipment = jobs[2]
    assert of_shipment.payload == {"shipment_id": 1, "parcel": 3}
    rows = read_after(of_shipment, "select grams from parcels where shipment_id = 1 and parcel = 3")
    assert rows == [(400,)]


@pytest.mark.parametrize(
    ("payload", "varied"),
    [
        ({"order_id": 7, "amount": 500}, [(("order_id",), False)]),
        ({"order_id": 7, "customer_id": 3}, [(("order_id", "customer_id"), False)]),
        ({"to": "a@example.com", "hurry": False}, [(("to",), False)]),
        # Another day may be another job, or a word about the same one.
        ({"area": "north", "day": "2026-03-01"}, [(("area", "day"), False), (("day",), True)]),
        ({"meter_id": "M-1", "version": 2}, [(("meter_id",), False), (("version",), True)]),
        # The name of a message is no name of its work.
        ({"email": "a@example.com", "request_id": "r-1"}, [(("email", "request_id"), False)]),
        ({"rows": [1, 2]}, []),
        ({}, []),
    ],
)
def test_what_makes_another_job(payload: Mapping[str, Any], varied: list[Any]) -> None:
    jobs = find_second_jobs(payload, read_tables())
    assert [(job.fields, job.is_doubtful) for job in jobs] == varied


def test_a_comment_beside_a_long_text_breaks_no_draft() -> None:
    """A docstring of two lines goes on in the next line of the spec, without any quotation mark."""
    what = "RQ job function to process a batch of chunks. batch is a list of chunks, where each"
    what = f"{what} chunk is a list of migration items."
    draft = Draft(values={"job": "batch", "intent": {"what": what}})
    draft.values["handler"] = "shop.tasks:batch"
    draft.seen = {"intent.what": "shop/tasks.py:7", "handler": "shop/tasks.py:9"}
    text = write_annotated(draft)
    assert "handler: shop.tasks:batch  # shop/tasks.py:9" in text
    assert yaml.safe_load(text)["intent"] == draft.values["intent"]


def history(*keys: str, effects: int | None = None) -> Any:
    calls = [{"effect": "send", "key": key} for key in keys][:effects]
    return SimpleNamespace(performed=lambda name=None: tuple(calls))


def reference(own: Any, jobs: Mapping[int, Any], orders: Mapping[int, Any] | None = None) -> Any:
    return SimpleNamespace(
        once=own, jobs=dict(jobs), orders=orders or {}, calls=lambda name: own.performed(name)
    )


def draft_of(*jobs: SecondJob, key: str = "idempotency_key") -> Draft:
    draft = Draft(guesses=[ONE_JOB, f"effects: send: keyed by {key}; nothing was read"])
    first = {"order_id": 7}
    examples = [first, *(dict(job.payload) for job in jobs), {"order_id": 70}]
    draft.values["payload"] = {"examples": examples}
    effect = {"name": "send", "call": "shop:send", "key_arg": key, "guarantee": "keyed"}
    draft.values["effects"] = [effect]
    draft.second_jobs = jobs
    return draft


SURE = SecondJob({"order_id": 8}, ("order_id",), False)
DOUBTFUL = SecondJob({"order_id": 7, "day": 2}, ("day",), True)


def test_a_job_that_does_what_the_example_does_is_kept() -> None:
    draft = draft_of(SURE)
    assert keep_second_jobs(draft, reference(history("a"), {1: history("b")})) == (SURE,)
    assert draft.values["payload"]["examples"] == [
        {"order_id": 7},
        {"order_id": 8},
        {"order_id": 70},
    ]
    assert ONE_JOB not in draft.guesses


def test_a_job_that_fails_or_does_less_is_none() -> None:
    for jobs in ({}, {1: history()}):
        draft = draft_of(SURE)
        assert keep_second_jobs(draft, reference(history("a"), jobs)) == ()
        assert draft.values["payload"]["examples"] == [{"order_id": 7}, {"order_id": 70}]
        assert ONE_JOB in draft.guesses
    assert keep_second_jobs(draft_of(SURE), None) == ()


def test_a_key_that_two_jobs_share_stays_where_its_name_says_that_it_is_one() -> None:
    draft = draft_of(SURE)
    keep_second_jobs(draft, reference(history("a"), {1: history("a")}))
    assert draft.values["effects"][0]["key_arg"] == "idempotency_key"


def test_a_token_that_all_jobs_share_is_no_key() -> None:
    draft = draft_of(SURE, key="token")
    draft.doubtful_keys.add("send")
    keep_second_jobs(draft, reference(history("a"), {1: history("a")}))
    assert "key_arg" not in draft.values["effects"][0]
    assert draft.values["effects"][0]["guarantee"] == "at_least_once"


def test_messages_with_one_key_that_may_be_one_job_are_not_tried_together() -> None:
    draft = draft_of(DOUBTFUL)
    assert keep_second_jobs(draft, reference(history("a"), {1: history("a")})) == ()
    assert any("may be one job" in said for said in draft.guesses)
