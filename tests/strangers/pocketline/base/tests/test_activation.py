import os
import tempfile

os.environ["POCKETLINE_DATABASE"] = os.path.join(tempfile.mkdtemp(), "test.db")

import fakeredis
import httpx
import pytest
from arq import Retry

from pocketline import activation, db, orders, push


def status(code, **headers):
    request = httpx.Request("POST", "http://carrier.test")
    return httpx.HTTPStatusError(
        str(code), request=request, response=httpx.Response(code, headers=headers, request=request)
    )


class World:
    def __init__(self):
        self.keys, self.told, self.carrier_says, self.push_says = [], [], [], []

    async def activate(self, iccid, plan, idempotency_key):
        self.keys.append(idempotency_key)
        if self.carrier_says:
            raise self.carrier_says.pop(0)

    async def notify(self, device, text, *, collapse_id):
        self.told.append(collapse_id)
        if self.push_says:
            raise self.push_says.pop(0)


@pytest.fixture
async def world(monkeypatch):
    world = World()
    monkeypatch.setattr(activation.carrier, "activate", world.activate)
    monkeypatch.setattr(push, "notify", world.notify)
    async with db.aiosqlite.connect(db.settings.database) as c:
        await c.executescript("drop table if exists orders; drop table if exists dead_letters")
    await db.create(seed=True)
    world.redis = fakeredis.FakeAsyncRedis()
    return world


async def deliver(world, job_try=1, **message):
    await activation.activate_esim({"redis": world.redis, "job_try": job_try, "job_id": "j"}, **message)


async def dead():
    async with db.transaction() as c, c.execute("select count(*) from dead_letters") as cursor:
        return (await cursor.fetchone())[0]


async def test_once_and_again(world):
    await deliver(world, order_id="ord_a1f4")
    await deliver(world, order_id="ord_a1f4")
    assert len(world.keys) == 1 and world.told == ["ord_a1f4"]


async def test_same_token_on_each_try(world):
    world.carrier_says = [status(503), httpx.ReadTimeout("slow")]
    for n in (1, 2):
        with pytest.raises(Retry):
            await deliver(world, n, order_id="ord_a1f4")
    await deliver(world, 3, order_id="ord_a1f4")
    assert len(world.keys) == 3 and len(set(world.keys)) == 1


async def test_last_try(world):
    world.carrier_says = [status(503)]
    await deliver(world, 5, order_id="ord_a1f4")
    assert await dead() == 1 and (await orders.find("ord_a1f4"))["given_up"]


async def test_unknown_plan(world):
    world.carrier_says = [status(422)]
    await deliver(world, order_id="ord_a1f4")
    assert await dead() == 1 and not world.told


async def test_409_and_410_are_fine(world):
    world.carrier_says, world.push_says = [status(409)], [status(410)]
    await deliver(world, order_id="ord_a1f4")
    assert (await orders.find("ord_a1f4"))["told"] and await dead() == 0


@pytest.mark.parametrize("message", [{}, {"order_id": 7}, {"order_id": "x"}, {"order_id": "ord_a1f4", "a": 1}])
async def test_malformed(world, message):
    await deliver(world, **message)
    assert await dead() == 1 and not world.keys


async def test_unpaid(world):
    await deliver(world, order_id="ord_d4e7")
    assert await dead() == 1 and not world.keys
