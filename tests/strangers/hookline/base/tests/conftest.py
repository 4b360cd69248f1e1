import sqlite3
from dataclasses import replace

import httpx
import pytest
from taskiq import TaskiqMessage
from taskiq.receiver import Receiver

from hooks import broker as wiring
from hooks import dead, schema, sender, store, tasks


class Customer:
    def __init__(self):
        self.answers = []
        self.seen = []

    async def post_event(self, http, url, secret, *, event_id, body):
        self.seen.append(event_id)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        if answer != 200:
            request = httpx.Request("POST", url)
            raise httpx.HTTPStatusError(f"{answer}", request=request, response=httpx.Response(answer, request=request))


@pytest.fixture
async def rows(tmp_path, monkeypatch):
    ours = replace(schema.settings, db_path=str(tmp_path / "hooks.db"))
    for module in (schema, store, tasks):
        monkeypatch.setattr(module, "settings", ours)
    await schema.main()

    def query(sql):
        connection = sqlite3.connect(ours.db_path)
        try:
            with connection:
                return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return query


@pytest.fixture
def customer(monkeypatch):
    customer = Customer()
    monkeypatch.setattr(sender, "post_event", customer.post_event)
    return customer


@pytest.fixture
def sent(monkeypatch):
    """What went to Redis: messages to the stream, and retries to the schedule."""
    sent = []

    async def kick(message):
        sent.append(message.message)

    async def add_schedule(schedule):
        message = TaskiqMessage(
            task_id=schedule.task_id, task_name=schedule.task_name, labels=schedule.labels, labels_types=None,
            args=schedule.args, kwargs=schedule.kwargs,
        )  # fmt: skip
        sent.append(wiring.broker.formatter.dumps(message).message)

    monkeypatch.setattr(wiring.broker, "kick", kick)
    monkeypatch.setattr(wiring.retries, "add_schedule", add_schedule)
    return sent


@pytest.fixture
def work(sent):
    """A worker that takes what was sent until nothing is left; its waits are left out."""

    async def work(limit=50):
        receiver = Receiver(wiring.broker, run_startup=False, max_async_tasks=5)
        while sent and limit:
            await receiver.callback(sent.pop(0))
            limit -= 1
        assert not sent

    return work
