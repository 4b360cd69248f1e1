import base64
import hashlib
import hmac
import sqlite3

import httpx
import pytest

from hooks import events, sender, tasks
from hooks.store import Store, get_store

STATE = "select state, attempts from events where id = 'evt_1001'"


async def deliver(**kwargs):
    await tasks.deliver_event.kiq(**(kwargs or {"event_id": "evt_1001"}))


async def test_delivered_once_for_two_messages(rows, customer, work):
    await deliver()
    await deliver()
    await work()
    assert customer.seen == ["evt_1001"]
    assert rows(STATE) == [("delivered", 1)]


async def test_retries_carry_the_same_id(rows, customer, work):
    customer.answers = [503, httpx.ReadTimeout("slow"), 401]
    await deliver()
    await work()
    assert customer.seen == ["evt_1001"] * 4
    assert rows(STATE) == [("delivered", 4)]


async def test_six_attempts(rows, customer, work):
    customer.answers = [500] * 20
    await deliver()
    await work()
    assert len(customer.seen) == 6
    assert rows("select key, attempts from dead_deliveries") == [("evt_1001", 6)]


@pytest.mark.parametrize(("answer", "state", "dead"), [(409, "delivered", 0), (410, "dead", 1), (httpx.InvalidURL("x"), "dead", 1)])
async def test_final_answers(rows, customer, work, answer, state, dead):
    customer.answers = [answer]
    await deliver()
    await work()
    assert rows(STATE) == [(state, 1)]
    assert rows("select count(*) from dead_deliveries") == [(dead,)]


async def test_deaths_of_the_worker_count(rows, customer, work):
    for _ in range(6):
        await get_store().begin("evt_1001")
    await deliver()
    await work()
    assert customer.seen == []
    assert rows(STATE) == [("dead", 7)]


@pytest.mark.parametrize("kwargs", [{"event_id": "evt_0"}, {"event_id": {"a": 1}}, {"id": "evt_1001"}])
async def test_odd_messages_are_kept(rows, customer, work, kwargs):
    await deliver(**kwargs)
    await work()
    assert customer.seen == []
    assert rows("select count(*) from dead_deliveries") == [(1,)]


async def test_old_events_are_given_up(rows, customer, work):
    rows("update events set created_at = created_at - 200000")
    await deliver()
    await work()
    assert customer.seen == []
    assert rows(STATE) == [("dead", 1)]


async def test_a_locked_store_is_tried_again(rows, customer, work, monkeypatch):
    begin, errors = Store.begin, [sqlite3.OperationalError("database is locked")] * 2

    async def locked(self, event_id):
        if errors:
            raise errors.pop()
        return await begin(self, event_id)

    monkeypatch.setattr(Store, "begin", locked)
    await deliver()
    await work()
    assert rows(STATE) == [("delivered", 1)]


async def test_the_sweep_sends_what_was_lost(rows, customer, sent, work):
    await events.publish("evt_2000", "acme", "invoice.sent", {})
    sent.clear()
    assert await tasks.send_overdue() == 0
    rows("update events set due_at = due_at - 400 where id = 'evt_2000'")
    assert await tasks.send_overdue() == 1
    assert await tasks.send_overdue() == 0
    await work()
    assert customer.seen == ["evt_2000"]


async def test_the_sweep_gives_up_the_old(rows, sent):
    rows("update events set due_at = 0, created_at = 0 where id = 'evt_1001'")
    await tasks.sweep.original_func()
    assert sent == []
    assert rows("select key from dead_deliveries") == [("evt_1001",)]


async def test_revived(rows, customer, work):
    customer.answers = [410]
    await deliver()
    await work()
    await events.revive("evt_1001")
    await work()
    assert rows(STATE) == [("delivered", 1)]
    assert rows("select * from dead_deliveries") == []


async def test_signature():
    seen = []
    transport = httpx.MockTransport(lambda request: seen.append(request) or httpx.Response(204))
    async with httpx.AsyncClient(transport=transport) as http:
        await sender.post_event(http, "https://acme.example/hooks", "s", event_id="evt_1", body="{}")
    stamp = seen[0].headers["Webhook-Timestamp"]
    expected = base64.b64encode(hmac.new(b"s", f"evt_1.{stamp}.{{}}".encode(), hashlib.sha256).digest()).decode()
    assert seen[0].headers["Webhook-Signature"] == f"v1,{expected}"
