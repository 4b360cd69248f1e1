import json
import logging
import time

import httpx
import pytest

from plantbox import boxes, greenpack, logsetup, sweeps
from plantbox.greenpack import AlreadyShipped, GreenpackDown, GreenpackRefused
from plantbox.jobs import order_parcel
from plantbox.shipping import release_box

BOX = "select status, parcel_ref, attempts from boxes where id = 1"
STOCK = "select stock from sorts"
LETTERS = "select ref, reason from dead_letters"


@pytest.fixture
async def released(queue):
    assert await release_box(1)


async def test_one_parcel_and_one_plant_less(released, partner, sql):
    assert await order_parcel({}, box_id=1) == "ordered"
    assert await order_parcel({}, box_id=1) == "ordered"
    assert partner.calls == [("PB-2026-0001", "FERN-S", "4051 Basel")]
    assert sql(BOX) == [("ordered", "GP-PB-2026-0001", 1)]
    assert sql(STOCK) == [(39,)]


async def test_tries_again(released, partner, sql):
    partner.errors = [GreenpackDown("HTTP 503")] * 4
    for _ in range(4):
        with pytest.raises(GreenpackDown):
            await order_parcel({}, box_id=1)
    await order_parcel({}, box_id=1)
    assert sql(BOX) == [("ordered", "GP-PB-2026-0001", 5)] and sql(STOCK) == [(39,)] and sql(LETTERS) == []


async def test_the_address_is_that_of_the_release(released, partner, sql):
    sql("update subscribers set town = '8000 Zürich'")
    await order_parcel({}, box_id=1)
    assert partner.calls[0][2] == "4051 Basel"


async def test_gives_up_after_the_fifth(released, partner, sql):
    partner.errors = [GreenpackDown("HTTP 503")] * 9
    for _ in range(4):
        with pytest.raises(GreenpackDown):
            await order_parcel({}, box_id=1)
    assert await order_parcel({}, box_id=1) == "dead"
    await order_parcel({}, box_id=1)
    assert len(partner.calls) == 5
    assert sql(LETTERS) == [("box-1", "GreenpackDown: HTTP 503")] and sql(STOCK) == [(40,)]


async def test_refused(released, partner, sql):
    partner.errors = [GreenpackRefused("HTTP 422")]
    assert await order_parcel({}, box_id=1) == "dead"
    assert sql(BOX) == [("failed", None, 1)]


async def test_already_shipped(released, partner, sql):
    partner.errors = [AlreadyShipped("GP-9")]
    assert await order_parcel({}, box_id=1) == "ordered"
    assert sql(BOX) == [("ordered", "GP-9", 1)] and sql(STOCK) == [(39,)]


async def test_two_at_once(released, partner, sql):
    partner.meanwhile = lambda: order_parcel({}, box_id=1)
    await order_parcel({}, box_id=1)
    assert len(partner.calls) == 2 and sql(STOCK) == [(39,)]


async def test_one_gives_up_while_the_other_gets_through(released, partner, sql):
    async def other():
        partner.errors = [GreenpackRefused("HTTP 422")]
        assert await order_parcel({}, box_id=1) == "dead"

    partner.meanwhile = other
    await order_parcel({}, box_id=1)
    assert sql(BOX)[0][0] == "ordered" and sql(STOCK) == [(39,)] and sql(LETTERS) == []


@pytest.mark.parametrize("message", [{}, {"box_id": "1"}, {"box_id": True}, {"box_id": 77}, {"box_id": 1, "gift": 1}])
async def test_poison(released, partner, sql, message):
    assert await order_parcel({}, **message) == "dead"
    assert await order_parcel({}, **message) == "dead"
    assert len(sql(LETTERS)) == 1 and partner.calls == [] and sql(BOX)[0][0] == "released"


async def test_publishes_once(queue, sql):
    assert await release_box(1)
    assert not await release_box(1)
    [(function, kwargs)] = queue.jobs
    assert function == "order_parcel" and kwargs["box_id"] == 1 and kwargs["retries"] > 5


async def test_sweep(queue, partner, sql):
    queue.down = True
    await release_box(1)
    queue.down = False
    assert await sweeps.requeue_released() == 1
    assert await sweeps.requeue_released() == 0
    sql("update boxes set seen_at = ?", time.time() - 3600)
    assert await sweeps.requeue_released() == 1
    sql("update boxes set seen_at = ?, attempts = 5", time.time() - 3600)
    assert await sweeps.requeue_released() == 0
    assert sql(LETTERS) == [("box-1", "left lying after 5 attempts")]


async def test_dying_counts(released, partner, sql):
    partner.errors = [SystemExit()] * 9
    for _ in range(5):
        with pytest.raises(SystemExit):
            await order_parcel({}, box_id=1)
    assert await order_parcel({}, box_id=1) == "dead"
    assert len(partner.calls) == 5 and len(sql(LETTERS)) == 1


async def test_logs(released, partner, caplog):
    caplog.set_level(logging.INFO, "plantbox")
    await order_parcel({}, box_id=1)
    lines = [json.loads(logsetup.HouseFormatter().format(r)) for r in caplog.records if r.name == "plantbox.jobs"]
    assert [(line["key"], line["attempt"], line["outcome"]) for line in lines] == [(1, 1, "started"), (1, 1, "ordered")]
    assert "Ada" not in caplog.text


@pytest.mark.parametrize(
    "status, error", [(503, GreenpackDown), (429, GreenpackDown), (422, GreenpackRefused), (409, AlreadyShipped)]
)
async def test_greenpack(monkeypatch, status, error):
    async def put(self, url, **kwargs):
        return httpx.Response(status, json={"reference": "GP-1"})

    monkeypatch.setattr(httpx.AsyncClient, "put", put)
    with pytest.raises(error):
        await greenpack.put_parcel(number="PB-1", sku="FERN-S", ship_to={})
