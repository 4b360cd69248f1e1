import asyncio
import json
import logging
from datetime import timedelta

import httpx
import pytest
from arq import Retry
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from wasserwerk import billing, jobs, sweep
from wasserwerk.logs import JsonFormatter
from wasserwerk.model import Bill, ParkedBill, utcnow
from wasserwerk.uow import Conflict, UnitOfWork

CTX = {"job_id": "bill-1", "job_try": 1}


async def deliver(bill_id=1, **ctx):
    try:
        return await jobs.send_bill({**CTX, **ctx}, bill_id=bill_id)
    except Retry as again:
        return again.defer_score // 1000


async def parked():
    async with UnitOfWork() as uow:
        return [(p.ref, p.reason) for p in await uow._session.scalars(select(ParkedBill))]


async def put(**values):
    async with UnitOfWork() as uow:
        await uow._session.execute(update(Bill).where(Bill.id == 1).values(**values))
        await uow.commit()


async def test_sent(row, gateway, caplog):
    caplog.set_level(logging.INFO)
    assert await deliver() == "sent"
    bill = await row()
    assert (bill.status, bill.receipt, bill.attempts) == ("sent", "R-W27-000101", 1)
    url, body = gateway.asked[0]
    assert url == "/invoices/W27-000101" and body["total_cents"] == 94 * 211
    line = json.loads(JsonFormatter("%(message)s").format(caplog.records[-1]))
    assert (line["job_id"], line["key"], line["attempt"], line["outcome"]) == ("bill-1", "W27-000101", 1, "sent")
    assert "Brunner" not in caplog.text and (await row(2)).status == "draft"


async def test_second_delivery(row, gateway):
    await deliver()
    assert await deliver() == "sent" and len(gateway.asked) == 1


async def test_two_at_once(row, gateway):
    await asyncio.gather(deliver(), deliver())
    assert await deliver() == "sent"
    assert len({json.dumps(body) for _, body in gateway.asked}) == 1 and len(gateway.kept) == 1


async def test_away_then_there(row, gateway):
    gateway.script = [httpx.ReadTimeout("slow"), 503, httpx.ConnectError("no")]
    assert [await deliver() for _ in range(4)] == [60, 180, 540, "sent"]
    assert gateway.asked[0] == gateway.asked[3] and await parked() == []


async def test_six_attempts(row, gateway):
    gateway.script = [503] * 9
    assert [await deliver() for _ in range(7)] == [60, 180, 540, 1620, 1800, "parked", "parked"]
    assert len(gateway.asked) == 6 and await parked() == [("W27-000101", "away: http 503")]


async def test_refused(row, gateway):
    gateway.script = [422]
    assert await deliver() == "parked" and await parked() == [("W27-000101", "refused: http 422")]
    assert await deliver() == "parked" and len(gateway.asked) == 1


async def test_every_worker_dies(row, gateway):
    gateway.script = [asyncio.CancelledError()] * 9
    for _ in range(6):
        with pytest.raises(asyncio.CancelledError):
            await deliver()
    assert await deliver() == "parked" and len(gateway.asked) == 6


async def test_store_away_after_the_answer(row, gateway, monkeypatch):
    async def away(*args):
        raise OperationalError("update", {}, Exception("locked"))

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "sent", away)
        assert await deliver() == 20
        assert await deliver(job_try=25) == "left-to-sweep"
    assert await deliver() == "sent" and len(gateway.kept) == 1


async def test_given_up_beside_us(row, gateway):
    async def beside():
        await jobs.park(CTX, 1, "Exhausted")

    gateway.script = [beside]
    assert await deliver() == "sent"
    assert (await row()).status == "sent" and await parked() == []
    assert await jobs.park(CTX, 1, "late") == "sent" and await parked() == []


async def test_version(row, database):
    async with UnitOfWork() as one, UnitOfWork() as two:
        a, b = await one.bills.get(1), await two.bills.get(1)
        a.attempts = 1
        await one.commit()
        b.attempts = 1
        with pytest.raises(Conflict):
            await two.commit()


@pytest.mark.parametrize("message", [{}, {"bill_id": "1"}, {"bill_id": 404}, {"bill_id": 1, "cents": 1}])
async def test_foreign_message(row, gateway, message):
    for _ in range(2):
        assert await jobs.send_bill(CTX, **message) == "refused"
    assert len(await parked()) == 1 and gateway.asked == [] and (await row()).status == "draft"


async def test_release_and_sweep(row, gateway, monkeypatch):
    queued = []

    async def publish(*ids, pool=None):
        queued.append(ids)
        return True

    monkeypatch.setattr(billing, "publish", publish)
    monkeypatch.setattr(sweep, "publish", publish)
    assert await billing.release(1) == await billing.release(1) == "released"
    assert await sweep.sweep() == 0
    await put(touched_at=utcnow() - timedelta(hours=1))
    assert await sweep.sweep() == 1
    assert queued == [(1,), (1,), (1,)]
    await deliver()
    await put(touched_at=utcnow() - timedelta(hours=1))
    assert await sweep.sweep() == 0 and await billing.release(1) == "sent"


async def test_redis_away(row, monkeypatch):
    monkeypatch.setenv("WASSERWERK_REDIS", "redis://127.0.0.1:1/0")
    assert await billing.release(1) == "released"
