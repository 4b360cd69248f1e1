import time

import httpx
import pytest
from sqlalchemy import func, select, update

from gridops import desk, outbox
from gridops.actors import submit_schedule
from gridops.objects import ClientError
from gridops.tables import dead_letters, engine, schedules
from gridops.tables import outbox as outbox_table

ONE = {"site": "albula", "day": "2026-03-01", "revision": 1}
KEY = "albula/2026-03-01/1"


def row():
    with engine.connect() as con:
        return con.execute(
            select(schedules.c.status, schedules.c.receipt).where(schedules.c.site == "albula", schedules.c.day == "2026-03-01")
        ).first()


def count(table):
    with engine.connect() as con:
        return con.execute(select(func.count()).select_from(table)).scalar()


def test_approved_is_archived_and_submitted(operator, store, work):
    desk.approve(**ONE)
    desk.approve(**ONE)
    work()
    assert operator.keys == [KEY]
    assert list(store.objects) == [KEY + ".json"]
    assert row() == ("accepted", "r-1") and count(outbox_table) == 0


def test_broker_down_leaves_the_outbox(operator, store, work, queue, monkeypatch):
    def down(message, *, delay=None):
        raise httpx.ConnectError("x")  # any crash

    with monkeypatch.context() as patch:
        patch.setattr(submit_schedule.broker, "enqueue", down)
        with pytest.raises(httpx.ConnectError):
            desk.approve(**ONE)
    assert count(outbox_table) == 1
    outbox.flush()
    work()
    assert row().status == "accepted" and count(outbox_table) == 0


def test_transient_answers_and_the_same_key(operator, store, work):
    operator.plan = [503, httpx.ReadTimeout("slow"), 429]
    submit_schedule.send(**ONE)
    delays = work()
    assert operator.keys == [KEY] * 4 and row() == ("accepted", "r-1")
    assert delays[3] == 60_000


def test_lost_answer_is_409_with_the_receipt(operator, store, work):
    operator.receipts[KEY] = "r-7"
    submit_schedule.send(**ONE)
    work()
    assert row() == ("accepted", "r-7")


def test_gives_up_after_six_attempts(operator, store, work):
    operator.plan = [503] * 20
    submit_schedule.send(**ONE)
    work()
    assert len(operator.keys) == 6 and row().status == "failed" and count(dead_letters) == 1


def test_refused_once_and_for_all(operator, store, work):
    operator.plan = [422]
    submit_schedule.send(**ONE)
    work()
    assert len(operator.keys) == 1 and row().status == "failed" and count(dead_letters) == 1


@pytest.mark.parametrize("code, tries", [("SlowDown", 2), ("AccessDenied", 1)])
def test_object_store(operator, store, work, code, tries):
    store.plan = [ClientError({"Error": {"Code": code}}, "PutObject")]
    submit_schedule.send(**ONE)
    assert len(work()) == tries
    assert row().status == ("accepted" if code == "SlowDown" else "failed")


@pytest.mark.parametrize("bad", [{}, {**ONE, "revision": "1"}, {**ONE, "day": "today"}, {**ONE, "x": 1}, {**ONE, "site": "nowhere"}])
def test_malformed(operator, store, work, bad):
    submit_schedule.send(**bad)
    assert len(work()) == 1
    assert operator.keys == [] and count(dead_letters) == 1 and row().status == "ready"


def test_newer_revision_wins(operator, store, work):
    with engine.begin() as con:
        con.execute(schedules.insert().values(site="albula", day="2026-03-01", revision=2, mwh="[1]", status="draft"))
        con.execute(update(schedules).where(schedules.c.revision == 1, schedules.c.site == "albula").values(status="submitting"))
    desk.approve("albula", "2026-03-01", 2)
    submit_schedule.send(**ONE)
    work()
    assert operator.keys == ["albula/2026-03-01/2"] and row().status == "superseded"


def test_stalled_comes_back(operator, store, work, monkeypatch):
    desk.requeue_stalled()
    assert work() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 600)
    desk.requeue_stalled()
    work()
    assert row().status == "accepted"


def test_killed_again_and_again(operator, store, work):
    class Killed(BaseException):
        pass

    operator.plan = [Killed() for _ in range(9)]
    for _ in range(9):
        with pytest.raises(Killed):
            submit_schedule.fn(**ONE)
    submit_schedule.send(**ONE)
    work()
    assert len(operator.keys) == 9 and row().status == "failed" and count(dead_letters) == 1
