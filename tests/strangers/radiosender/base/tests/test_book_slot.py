import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from radiosender import bookings, db, logs, queue, settings
from radiosender.errors import SendeplanAway, SlotRefused, Verdict, classify


def booking():
    async def read():
        async with db.Session() as session:
            return await session.get(db.Booking, 1)

    return asyncio.run(read())


def count(model):
    async def read():
        async with db.Session() as session:
            return await session.scalar(select(func.count()).select_from(model))

    return asyncio.run(read())


def test_reserves_and_books(deliver, sendeplan, published):
    assert asyncio.run(queue.request(1))
    assert published == [1]
    assert deliver(booking_id=1) == "booked"
    assert (booking().state, booking().slot, count(db.AuditLine)) == ("booked", "slot-1", 1)
    assert sendeplan.puts == ["spot-1"]


def test_second_delivery(deliver, sendeplan):
    deliver(booking_id=1)
    assert deliver(booking_id=1) == "nothing_to_do"
    assert (len(sendeplan.puts), count(db.AuditLine)) == (1, 1)


def test_two_at_once(deliver, sendeplan):
    async def other():
        sendeplan.meanwhile = None
        await bookings.start(1)
        await bookings.finish(1, "slot-1")

    sendeplan.meanwhile = other
    assert deliver(booking_id=1) == "booked_before"
    assert count(db.AuditLine) == 1


def test_somebody_edits_the_note_meanwhile(deliver, sendeplan):
    async def edit():
        async with db.Session() as session:
            version = (await session.get(db.Booking, 1)).version
        await bookings.edit_note(1, version, "ring before noon")

    sendeplan.meanwhile = edit
    assert deliver(booking_id=1) == "booked"
    assert (booking().note, booking().state) == ("ring before noon", "booked")


def test_answer_lost(deliver, sendeplan):
    sendeplan.lost = [SendeplanAway("ReadTimeout")]
    assert deliver(booking_id=1) == "booked"
    assert list(sendeplan.reservations.values()) == ["slot-1"]


def test_sendeplan_away_for_long(deliver, sendeplan):
    sendeplan.errors = [SendeplanAway("HTTP 503")] * 9
    assert deliver(booking_id=1) == "SendeplanAway"
    assert len(sendeplan.puts) == settings.TRIES
    assert (booking().state, count(db.DeadLetter)) == ("failed", 1)


def test_slot_refused(deliver, sendeplan):
    sendeplan.errors = [SlotRefused("HTTP 409")]
    assert deliver(booking_id=1) == "SlotRefused"
    assert (booking().state, count(db.DeadLetter), len(sendeplan.puts)) == ("failed", 1, 1)


def test_late_answer_takes_the_dead_letter_back():
    asyncio.run(bookings.give_up(1, "j", "SendeplanAway"))
    assert asyncio.run(bookings.finish(1, "slot-1"))
    assert (booking().state, count(db.DeadLetter), count(db.AuditLine)) == ("booked", 0, 1)


@pytest.mark.parametrize("message", [{}, {"booking_id": "1"}, {"booking_id": True}, {"booking_id": 1, "x": 1}, {"booking_id": 9}])
def test_bad_messages(deliver, sendeplan, message):
    deliver(**message)
    assert (sendeplan.puts, booking().state, count(db.DeadLetter)) == ([], "requested", 1)


def test_sweep(published):
    asyncio.run(queue.request(1))
    assert asyncio.run(queue.sweep()) == 0

    async def age():
        async with db.Session.begin() as session:
            await session.execute(update(db.Booking).values(touched_at=db.now() - timedelta(minutes=16)))

    asyncio.run(age())
    assert asyncio.run(queue.sweep()) == 1
    assert published == [1, 1]


def test_redis_away(monkeypatch, published):
    async def away(ids):
        raise ConnectionError("redis")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "publish", away)
        assert asyncio.run(queue.request(1))
    assert asyncio.run(queue.publish_unqueued()) == 1
    assert published == [1]


def test_started_too_often(deliver, sendeplan):
    async def starts():
        for _ in range(settings.MAX_STARTS):
            await bookings.start(1)

    asyncio.run(starts())
    assert deliver(booking_id=1) == "StartedTooOften"
    assert (booking().state, sendeplan.puts) == ("failed", [])


def test_the_log_says_which_job_and_how_it_went(deliver, sendeplan, caplog):
    caplog.set_level("INFO")
    sendeplan.lost = [SendeplanAway("ReadTimeout")]
    deliver(booking_id=1)
    lines = [json.loads(logs.JsonLines().format(record)) for record in caplog.records if record.name == "radiosender.worker"]
    assert [(line["job_id"], line["key"], line["try"], line["outcome"]) for line in lines] == [
        ("j1", "booking-1", 1, "retry"),
        ("j1", "booking-1", 2, "booked"),
    ]
    assert "Kraft" not in str(lines)


def test_classify():
    assert classify(SendeplanAway("x")) is Verdict.AGAIN
    assert classify(SlotRefused("x")) is classify(KeyError("x")) is Verdict.NEVER
