import asyncio
import json
import logging
import sqlite3

import pytest
from arq import Retry

from wetterdienst import archive, hub, intake, jsonlog
from wetterdienst.days import Days
from wetterdienst.publish import publish_day


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    path = str(tmp_path / "wetter.db")
    monkeypatch.setenv("WETTER_DB", path)
    Days().create(demo=True)
    return path


@pytest.fixture(autouse=True)
def queued(monkeypatch):
    jobs = []

    class Pool:
        async def enqueue_job(self, name, _job_id=None, **message):
            jobs.append((_job_id, message))

        async def aclose(self):
            pass

    async def create_pool(settings):
        return Pool()

    monkeypatch.setattr(intake, "create_pool", create_pool)
    return jobs


@pytest.fixture(autouse=True)
def objects(monkeypatch):
    written = []

    def put(key, body):
        written.append((key, body))
        return '"etag"'

    monkeypatch.setattr(archive, "put", put)
    return written


@pytest.fixture(autouse=True)
def events(monkeypatch):
    sent, failing = [], []

    async def announce(event, *, event_id):
        sent.append(event_id)
        if failing:
            raise failing.pop(0)

    sent_and_failing = type("Events", (), {"sent": sent, "failing": failing})
    monkeypatch.setattr(hub, "announce", announce)
    return sent_and_failing


def deliver(job_try=1, **message):
    message = message or {"station": "10488", "day": "2026-01-31"}
    try:
        asyncio.run(publish_day({"job_try": job_try, "job_id": "publish:10488:2026-01-31"}, **message))
    except Retry as retry:
        return retry.defer_score / 1000


def close():
    asyncio.run(intake.close_day("10488", "2026-01-31"))


def rows(database, sql):
    con = sqlite3.connect(database)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


STATUS = "select status from daily_files where station = '10488' and day = '2026-01-31'"


def test_published_once(database, queued, objects, events):
    close()
    assert queued == [("publish:10488:2026-01-31", {"station": "10488", "day": "2026-01-31"})]
    deliver()
    deliver()
    assert objects == [("daily/10488/2026-01-31.csv", b"hour,temperature,rain\n0,-2.5,0.0\n12,1.25,0.4\n")]
    assert events.sent == ["daily-10488-2026-01-31"]
    assert rows(database, STATUS) == [("published",)]


def test_lost_answer_is_repeated_under_the_same_id(database, objects, events):
    close()
    events.failing.append(hub.HubUnavailable("ReadTimeout"))
    assert deliver() == 30
    assert deliver(2) is None
    assert len(objects) == 1
    assert events.sent == ["daily-10488-2026-01-31"] * 2
    assert rows(database, STATUS) == [("published",)]


def test_given_up_after_five(database, events):
    close()
    events.failing.extend(hub.HubUnavailable("HTTP 503") for _ in range(9))
    assert [deliver(n) for n in (1, 2, 3, 4, 5)] == [30, 120, 480, 600, None]
    assert rows(database, STATUS) == [("dead",)]
    assert rows(database, "select key, reason, attempts from dead_letters") == [
        ("10488/2026-01-31", "HubUnavailable: HTTP 503", 5)]
    deliver()
    assert len(events.sent) == 5


def test_refused_is_not_tried_again(database, monkeypatch, events):
    def put(key, body):
        raise archive.ArchiveRefused("AccessDenied")

    monkeypatch.setattr(archive, "put", put)
    close()
    assert deliver() is None
    assert rows(database, STATUS) == [("dead",)] and events.sent == []


def test_killed_five_times(database, objects):
    close()
    for _ in range(5):
        Days().begin("10488", "2026-01-31")
    deliver(6)
    assert rows(database, STATUS) == [("dead",)] and objects == []


def test_malformed(database):
    deliver(station="10488", day="2026-02-31")
    deliver(station="10488", day="2026-02-31")
    assert len(rows(database, "select * from dead_letters")) == 1


def test_closed_day_takes_no_readings():
    close()
    assert not Days().add_reading("10488", "2026-01-31", 18, 0.0, 0.0)
    assert Days().add_reading("10488", "2026-02-02", 18, 0.0, 0.0)


def test_sweep(database, queued):
    close()
    queued.clear()
    asyncio.run(intake.sweep())
    assert queued == []
    con = sqlite3.connect(database)
    con.execute("update daily_files set touched_at = touched_at - 1300 where day = '2026-01-31' and station = '10488'")
    con.commit()
    con.close()
    asyncio.run(intake.sweep())
    asyncio.run(intake.sweep())
    assert [job for job, _ in queued] == ["publish:10488:2026-01-31"]


def test_log_line(caplog):
    close()
    with caplog.at_level(logging.INFO, "wetterdienst"):
        deliver()
    line = json.loads(jsonlog.HouseFormatter().format(caplog.records[-1]))
    assert (line["key"], line["attempt"], line["outcome"]) == ("10488/2026-01-31", 1, "published")
    assert line["job_id"] == "publish:10488:2026-01-31"
