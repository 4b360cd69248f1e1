import sqlite3
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from arq import Retry

from clinicsync import config, db, planner
from clinicsync.sms import SmsClient, SmsRejected, SmsUnavailable
from clinicsync.worker import send_reminder

FIRST = {"appointment_id": 1, "day": "2031-03-03"}


class FakeSms:
    def __init__(self, *failures):
        self.failures, self.sent = list(failures), []

    async def send(self, *, to, text, client_ref):
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((to, client_ref))
        return f"sms-{len(set(self.sent))}"


@pytest.fixture(autouse=True)
async def database(tmp_path, monkeypatch):
    monkeypatch.setattr(config.settings(), "db_path", str(tmp_path / "clinic.db"))
    await db.create(demo=True)


@pytest.fixture
def queued(monkeypatch):
    calls = []

    class Pool:
        async def enqueue_job(self, name, _job_id, **message):
            calls.append((name, _job_id, message))

        async def aclose(self):
            pass

    async def create_pool(_):
        return Pool()

    monkeypatch.setattr(planner, "create_pool", create_pool)
    return calls


def sql(text, *args):
    with sqlite3.connect(config.settings().db_path) as conn:
        return conn.execute(text, args).fetchall()


async def run(sms, message=FIRST, tries=1):
    """What arq does with it: again on Retry."""
    while True:
        try:
            return await send_reminder({"sms": sms, "job_id": f"j{message}", "job_try": tries}, **message)
        except Retry:
            tries += 1


async def test_sends_once():
    sms = FakeSms()
    await run(sms)
    await run(sms)
    assert sms.sent == [("+41790000001", "reminder-1-2031-03-03")]
    assert sql("select status, sms_id from reminders") == [("sent", "sms-1")]


async def test_comes_back_after_an_outage():
    await run(FakeSms(SmsUnavailable("HTTP 503"), SmsUnavailable("HTTP 503")))
    assert sql("select status, attempts from reminders") == [("sent", 3)]


async def test_five_attempts_are_enough():
    sms = FakeSms(*[SmsUnavailable("HTTP 503")] * 9)
    with pytest.raises(SmsUnavailable):
        await run(sms)
    assert len(sms.failures) == 4
    assert sql("select status from reminders") == [("dead",)]
    assert sql("select count(*) from dead_letters") == [(1,)]


async def test_rejected_numbers_are_not_tried_again():
    sms = FakeSms(*[SmsRejected("HTTP 422")] * 9)
    with pytest.raises(SmsRejected):
        await run(sms)
    await run(sms)
    assert len(sms.failures) == 8
    assert sql("select count(*) from dead_letters") == [(1,)]


@pytest.mark.parametrize(
    "message", [{}, {"appointment_id": "1", "day": "2031-03-03"}, {**FIRST, "x": 1}, {"appointment_id": 9, "day": "2031-03-03"}]
)
async def test_bad_messages(message):
    sms = FakeSms()
    with pytest.raises(Exception):
        await run(sms, message)
    assert sms.sent == [] and sql("select count(*) from dead_letters") == [(1,)]


@pytest.mark.parametrize("change", ["status = 'cancelled'", "starts_at = '2031-03-09T10:00'", "starts_at = '2020-01-01T10:00'"])
async def test_nothing_for_appointments_that_are_off(change):
    sql(f"update appointments set {change} where id = 1")
    sms = FakeSms()
    await run(sms)
    assert sms.sent == [] and sql("select status from reminders") == [("skipped",)]


async def test_planning_queues_once(queued):
    await planner.plan_reminder(**FIRST)
    await planner.plan_reminder(**FIRST)
    assert queued == [("send_reminder", "reminder:1:2031-03-03", FIRST)]


async def test_evening_sweep(queued):
    tomorrow = (datetime.now(planner.ZoneInfo("Europe/Zurich")) + timedelta(days=1)).strftime("%Y-%m-%d")
    sql("update appointments set starts_at = ? where id = 2", f"{tomorrow}T11:00")
    assert await planner.plan_tomorrow() == 1
    await planner.plan_tomorrow()
    assert [c[2]["appointment_id"] for c in queued] == [2]


async def test_rescue(queued):
    await planner.plan_reminder(**FIRST)
    assert await planner.rescue_stuck() == 0
    sql("update reminders set updated_at = ?", (datetime.now(UTC) - timedelta(minutes=9)).isoformat(timespec="seconds"))
    assert await planner.rescue_stuck() == 1


@pytest.mark.parametrize("status,error", [(503, SmsUnavailable), (429, SmsUnavailable), (422, SmsRejected)])
async def test_client(status, error):
    transport = httpx.MockTransport(lambda request: httpx.Response(status))
    client = SmsClient(httpx.AsyncClient(base_url="https://sms.test", transport=transport))
    with pytest.raises(error):
        await client.send(to="+1", text="hi", client_ref="r")
    await client.aclose()
