import httpx
import pytest
from sqlalchemy import select

from tickets import db, tasks
from tickets.broker import broker
from tickets.errors import NotRefundable
from tickets.service import cancel_order

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(monkeypatch):
    db.Base.metadata.drop_all(db.engine)
    db.create()
    calls = []

    async def refund(**kwargs):
        calls.append(("refund", kwargs["idempotency_key"]))
        return {"id": "re_1"}

    async def post(self, url, **kwargs):
        calls.append(("organiser", kwargs["headers"]["Idempotency-Key"]))
        return httpx.Response(200, json={"accepted": True}, request=httpx.Request("POST", url))

    monkeypatch.setattr(tasks.payments, "refund", refund)
    monkeypatch.setattr(httpx.AsyncClient, "post", post)
    return calls


def one(model):
    with db.Session() as session:
        return (session.scalars(select(model))).first()


async def test_refund(world):
    await tasks.refund_order("ord-1001", "rain")
    assert world == [("refund", "refund:ord-1001"), ("organiser", "release:ord-1001")]
    assert (one(db.Order)).status == "refunded"
    assert (one(db.Customer)).credit_cents == 500


async def test_second_delivery(world):
    await tasks.refund_order("ord-1001", "rain")
    await tasks.refund_order("ord-1001", "rain")
    assert len(world) == 2
    assert (one(db.Customer)).credit_cents == 500


async def test_used_order(world):
    with db.Session.begin() as session:
        (session.get(db.Order, "ord-1001")).status = "used"
    with pytest.raises(NotRefundable):
        await tasks.refund_order("ord-1001", "rain")


async def test_cancel_runs_the_job(world):
    await cancel_order("ord-1001", "rain")
    await broker.wait_all()
    assert (one(db.Order)).status == "refunded"
    assert (one(db.Outbox)).sent_at


async def test_poison_ends_in_dead_jobs(world):
    await broker.find_task("tickets.refund_order").kiq(reason="rain")
    await broker.wait_all()
    assert (one(db.DeadJob)).payload == {"reason": "rain"}
