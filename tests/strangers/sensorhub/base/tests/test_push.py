import asyncio
import sqlite3
from types import SimpleNamespace

import pytest

from sensorhub import alarms, queueing, resend, schema
from sensorhub.pager import PagerDown, PagerRejected
from sensorhub.push import MAX_ATTEMPTS, push_alarm


class FakePager:
    def __init__(self):
        self.incidents = {}
        self.calls = 0
        self.trouble = []

    async def trigger(self, *, dedup_key, severity, source, summary):
        self.calls += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return self.incidents.setdefault(dedup_key, f"r-{len(self.incidents) + 1}")


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = str(tmp_path / "hub.db")
    monkeypatch.setenv("SENSORHUB_DB", path)
    schema.create(path, demo=True)
    return path


@pytest.fixture
def pager():
    return FakePager()


@pytest.fixture
def push(db, pager):
    def deliver(attempt=1, **message):
        job = SimpleNamespace(key="k", attempts=attempt)
        return asyncio.run(push_alarm({"job": job, "db": db, "pager": pager}, **message))

    return deliver


def rows(db, sql):
    with sqlite3.connect(db) as con:
        return con.execute(sql).fetchall()


def test_delivers_once(push, pager, db):
    assert push(alarm_id="al-0001") == "delivered"
    assert push(alarm_id="al-0001") == "delivered"
    assert pager.calls == 1
    assert rows(db, "select * from receipts") == [("al-0001", "r-1")]


def test_pager_comes_back(push, pager, db):
    pager.trouble = [PagerDown("503")] * 2
    for attempt in (1, 2):
        with pytest.raises(PagerDown):
            push(attempt, alarm_id="al-0001")
    assert push(3, alarm_id="al-0001") == "delivered"
    assert rows(db, "select count(*) from undelivered") == [(0,)]


def test_pager_stays_away(push, pager, db, caplog):
    pager.trouble = [PagerDown("503")] * 9
    for attempt in range(1, MAX_ATTEMPTS):
        with pytest.raises(PagerDown):
            push(attempt, alarm_id="al-0001")
    assert push(MAX_ATTEMPTS, alarm_id="al-0001") == "undelivered"
    assert push(1, alarm_id="al-0001") == "undelivered"
    assert pager.calls == MAX_ATTEMPTS
    assert rows(db, "select ref, reason from undelivered") == [("al-0001", "PagerDown: 503")]
    assert "failed for good" in caplog.text


def test_rejected(push, pager, db):
    pager.trouble = [PagerRejected("no such service")]
    assert push(alarm_id="al-0001") == "undelivered"
    assert pager.calls == 1


def test_dead_workers_count(push, pager, db):
    pager.trouble = [KeyboardInterrupt()] * MAX_ATTEMPTS
    for attempt in range(1, MAX_ATTEMPTS + 1):
        with pytest.raises(KeyboardInterrupt):
            push(attempt, alarm_id="al-0001")
    assert push(MAX_ATTEMPTS + 1, alarm_id="al-0001") == "undelivered"


@pytest.mark.parametrize(
    "message", [{}, {"alarm_id": 1}, {"alarm_id": "1"}, {"alarm_id": "al-0001", "x": 1}, {"alarm_id": "al-9999"}]
)
def test_nonsense(push, pager, db, message):
    push(**message)
    push(**message)
    assert pager.calls == 0
    assert rows(db, "select count(*) from undelivered") == [(1,)]


class FakeQueue:
    def __init__(self):
        self.jobs = {}

    async def connect(self):
        pass

    async def disconnect(self):
        pass

    async def enqueue(self, function, *, key, **kwargs):
        if key in self.jobs:
            return None
        self.jobs[key] = (function, kwargs["alarm_id"])
        return key


def test_dispatch_and_resend(db, monkeypatch):
    queue = FakeQueue()
    monkeypatch.setattr(queueing, "make_queue", lambda: queue)
    asyncio.run(alarms.dispatch("al-0002"))
    assert queue.jobs == {"push_alarm:al-0002": ("push_alarm", "al-0002")}
    assert asyncio.run(resend.resend_stuck_alarms()) == 1
    assert set(queue.jobs) == {"push_alarm:al-0001", "push_alarm:al-0002"}
