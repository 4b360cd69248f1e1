import asyncio
import time

import httpx
import pytest
from loguru import logger

from paykit import CardDeclined, PayClient, PayUnavailable
from tutorly import conf, lessons
from tutorly.jobs import broker, charge_lesson

LESSON = "select status from lessons where id = 'les-000001'"
RECEIPTS = "select lesson_id, charge_id, amount_cents from receipts"
DEAD = "select ref, reason from dead_letters"


async def drain():
    while broker._running_tasks:
        await broker.wait_all()
        await asyncio.sleep(0)


def run(*calls):
    async def main():
        for call in calls:
            await call()
            await drain()

    asyncio.run(main())


def held():
    return lessons.mark_held("les-000001")


def kiq(**payload):
    return lambda: charge_lesson.kiq(**payload)


def test_one_lesson_one_charge(pay, rows):
    run(held, held, kiq(lesson_id="les-000001"))
    assert pay.keys == ["les-000001"]
    assert rows(LESSON) == [("charged",)]
    assert rows(RECEIPTS) == [("les-000001", "ch_les-000001", 3500)]
    assert rows(DEAD) == []


def test_retries_then_succeeds(pay, rows):
    pay.errors = [PayUnavailable("HTTP 503")] * 4
    run(held)
    assert pay.keys == ["les-000001"] * 5
    assert rows(LESSON) == [("charged",)] and rows(DEAD) == []


def test_gives_up_after_the_fifth(pay, rows):
    pay.errors = [PayUnavailable("HTTP 503")] * 9
    run(held, kiq(lesson_id="les-000001"))
    assert len(pay.keys) == 5
    assert rows(LESSON) == [("failed",)]
    assert rows(DEAD) == [("les-000001", "PayUnavailable: HTTP 503")]


def test_declined_is_final(pay, rows):
    pay.errors = [CardDeclined("HTTP 402")]
    run(held)
    assert len(pay.keys) == 1 and rows(DEAD) == [("les-000001", "CardDeclined: HTTP 402")]


def test_two_at_once(pay, rows):
    pay.meanwhile = lambda: charge_lesson("les-000001")
    run(held)
    assert set(pay.keys) == {"les-000001"} and len(rows(RECEIPTS)) == 1


def test_success_beats_a_delivery_that_has_given_up(pay, rows):
    async def other():
        pay.errors = [CardDeclined("HTTP 402")]
        await broker.find_task("charge-lesson").kiq(lesson_id="les-000001")
        await asyncio.sleep(0.3)
        assert rows(LESSON) == [("failed",)]

    pay.meanwhile = other
    run(held)
    assert rows(LESSON) == [("charged",)] and rows(DEAD) == []


@pytest.mark.parametrize(
    "payload", [{}, {"lesson_id": 1}, {"lesson_id": "les-999999"}, {"lesson_id": "les-000001", "twice": True}]
)
def test_poison(pay, rows, payload):
    run(kiq(**payload), kiq(**payload))
    assert len(rows(DEAD)) == 1 and pay.keys == []
    assert rows(LESSON) == [("planned",)]


def test_sweep(pay, rows, monkeypatch):
    async def away(**_):
        raise ConnectionError("redis is away")

    with monkeypatch.context() as m:
        m.setattr(charge_lesson, "kiq", away)
        run(held)
        assert rows(LESSON) == [("held",)]
    run(lessons.requeue_open, lessons.requeue_open)
    assert rows(LESSON) == [("charged",)] and len(pay.keys) == 1


def test_sweep_leaves_fresh_ones_and_buries_what_only_starts(pay, rows):
    rows("update lessons set status = 'held', queued_at = ?, touched_at = ?", time.time(), time.time())
    run(lessons.requeue_open)
    assert pay.keys == []
    rows("update lessons set touched_at = 1, starts = ?", conf.MAX_STARTS)
    run(lessons.requeue_open)
    assert len(rows(DEAD)) == 3 and pay.keys == []


@pytest.mark.parametrize("status, error", [(402, CardDeclined), (409, PayUnavailable), (500, PayUnavailable)])
def test_sdk(status, error):
    async def main():
        async with PayClient("http://pay.test", "secret") as client:
            client._http = httpx.AsyncClient(
                base_url="http://pay.test", transport=httpx.MockTransport(lambda request: httpx.Response(status))
            )
            await client.charge(idempotency_key="k", student_id="s", amount_cents=1)

    with pytest.raises(error):
        asyncio.run(main())


def test_lines_say_which_job(pay, rows):
    lines = []
    sink = logger.add(lambda m: lines.append(m.record), filter=lambda r: r["extra"].get("lesson_id"))
    pay.errors = [PayUnavailable("HTTP 503")]
    run(held)
    logger.remove(sink)
    said = [(r["extra"]["attempt"], r["message"].split(",")[0]) for r in lines]
    assert said == [(1, "charging"), (1, "charge failed"), (2, "charging"), (2, "charged")]
    assert len({r["extra"]["task_id"] for r in lines}) == 1
