import asyncio
import json
from datetime import date, timedelta

import httpx
import pytest
from arq import Retry
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from hauspay import Charged, Declined, HausPay, TryLater
from lesekreis import desk, ledger, sweeps
from lesekreis.jobs import renew
from lesekreis.models import DeadLetter, Renewal, Subscription, now
from lesekreis.store import session

CTX = {"job_id": "renew:1", "job_try": 1}


async def get(model, key):
    async with session() as s:
        return await s.get(model, key)


async def put(model, **values):
    async with session() as s, s.begin():
        await s.execute(update(model).values(**values))


async def deliver(renewal_id):
    try:
        return await renew(CTX, renewal_id=renewal_id)
    except Retry as again:
        return round(again.defer_score / 1000)


async def lease_ends():
    await put(Renewal, wake_at=now() - timedelta(seconds=1))


async def test_charged_and_extended(renewal, till):
    with capture_logs() as logs:
        assert await deliver(renewal) == "charged"
    assert (await get(Subscription, 1)).paid_until == date.today() + timedelta(days=33)
    assert (await get(Renewal, renewal)).charge_id == "ch_1"
    assert logs[-1]["outcome"] == "charged" and "acc-7001" not in json.dumps(logs)


async def test_second_delivery_does_nothing(renewal, till):
    await deliver(renewal)
    assert await deliver(renewal) == "charged"
    assert len(till.asked) == 1
    assert (await get(Subscription, 1)).paid_until == date.today() + timedelta(days=33)


async def test_two_deliveries_at_once(renewal, till):
    results = await asyncio.gather(deliver(renewal), deliver(renewal))
    assert "charged" in results and len(till.charges) == 1
    assert (await get(Renewal, renewal)).attempts == 1


async def test_declined_is_an_outcome(renewal, till):
    till.script = [Declined("card_expired")]
    assert await deliver(renewal) == "declined"
    assert await deliver(renewal) == "declined"
    assert (await get(Subscription, 1)).status == "overdue" and len(till.asked) == 1


async def test_lost_answer_same_key(renewal, till):
    till.script = [("taken", TryLater("ReadTimeout"))]
    assert await deliver(renewal) == 60
    assert await deliver(renewal) == "charged"
    assert len(set(till.asked)) == 1 and len(till.charges) == 1


async def test_six_attempts_then_parked(renewal, till):
    till.script = [TryLater("http_503")] * 6
    assert [await deliver(renewal) for _ in range(7)] == [60, 180, 540, 1620, 3600, "parked", "parked"]
    letter = await get(DeadLetter, (await get(Renewal, renewal)).key)
    assert (letter.attempts, letter.reason, len(till.asked)) == (6, "http_503", 6)


async def test_killed_worker(renewal, till, monkeypatch):
    till.script = [("taken", asyncio.CancelledError())]
    with pytest.raises(asyncio.CancelledError):
        await deliver(renewal)
    assert 60 < await deliver(renewal) <= 67  # comes back while the lease holds
    await lease_ends()
    assert await deliver(renewal) == "charged"
    assert len(till.charges) == 1


async def test_kills_every_worker(renewal, till):
    for _ in range(6):
        till.script = [asyncio.CancelledError()]
        with pytest.raises(asyncio.CancelledError):
            await deliver(renewal)
        await lease_ends()
    assert await deliver(renewal) == "parked" and len(till.asked) == 6


async def test_store_away_after_the_charge(renewal, till, monkeypatch):
    async def away(*args):
        raise OperationalError("update", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "charged", away)
        assert await deliver(renewal) == 30
    await lease_ends()
    assert await deliver(renewal) == "charged" and len(till.charges) == 1


async def test_key_that_the_service_has_forgotten(renewal, till):
    till.script = [("taken", TryLater("ReadTimeout"))]
    await deliver(renewal)
    await put(Renewal, first_try_at=now() - timedelta(days=8))
    assert await deliver(renewal) == "parked" and len(till.asked) == 1


async def test_late_failure_does_not_undo(renewal, till):
    first = await ledger.claim(renewal)
    await lease_ends()
    assert await deliver(renewal) == "charged"
    assert not await ledger.park(first, "late") and not await ledger.declined(first)
    assert (await get(Renewal, renewal)).status == "charged"


async def test_cancelled_before_and_while_charging(renewal, till):
    async def cancel():
        await put(Subscription, status="cancelled")

    till.script = [cancel]
    assert await deliver(renewal) == "charged"
    assert (await get(Subscription, 1)).status == "cancelled"
    await put(Renewal, status="due", attempts=0)
    assert await deliver(renewal) == "void" and len(till.asked) == 1


async def test_sweep_opens_and_brings_back(database, till, monkeypatch):
    seen = []

    async def publish(ids, redis=None):
        seen.append(ids)
        return len(ids)

    monkeypatch.setattr(sweeps, "publish", publish)
    await sweeps.sweep()
    till.script = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await deliver(1)
    await sweeps.sweep()
    await lease_ends()
    await sweeps.sweep()
    await deliver(1)
    await sweeps.sweep()
    assert seen == [[1], [], [1], []]


async def test_request_survives_redis(database, monkeypatch):
    async def away(ids):
        raise ConnectionError

    monkeypatch.setattr(desk, "publish", away)
    assert await desk.request_renewal(1) == await desk.request_renewal(1) == 1


@pytest.mark.parametrize("message", [{}, {"renewal_id": "1"}, {"renewal_id": 404}, {"renewal_id": 1, "amount": 5}])
async def test_foreign_messages(database, till, message):
    for _ in range(2):
        await renew(CTX, **message)
    async with session() as s:
        letters = (await s.scalars(DeadLetter.__table__.select())).all()
    assert len(letters) == 1 and till.asked == []


@pytest.mark.parametrize("status, body, result", [
    (201, {"charge_id": "ch_9"}, Charged("ch_9")), (402, {"code": "no_cover"}, Declined("no_cover")),
    (503, {}, TryLater("http_503")), (401, {}, TryLater("http_401")), (200, {}, TryLater("unreadable_answer")),
])
async def test_answers_of_the_service(monkeypatch, status, body, result):
    async def post(self, url, **kw):
        assert kw["headers"]["Idempotency-Key"] == "k"
        return httpx.Response(status, json=body, request=httpx.Request("POST", "http://pay.invalid"))

    monkeypatch.setattr(httpx.AsyncClient, "post", post)
    assert await HausPay("http://pay.invalid", "t").charge(key="k", account="a", amount_cents=1, text="x") == result
