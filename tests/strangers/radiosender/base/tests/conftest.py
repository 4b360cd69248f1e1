import os
import tempfile

os.environ["RADIO_DATABASE_URL"] = "sqlite+aiosqlite:///%s/radio.db" % tempfile.mkdtemp(prefix="radio-")

import asyncio  # noqa: E402

import pytest  # noqa: E402
from arq import Retry  # noqa: E402

from radiosender import db, queue, worker  # noqa: E402


class FakeSendeplan:
    def __init__(self):
        self.reservations = {}
        self.puts = []
        self.errors = []
        self.lost = []
        self.meanwhile = None

    async def reserve(self, reservation_id, wanted_at, seconds):
        self.puts.append(reservation_id)
        if self.errors:
            raise self.errors.pop(0)
        slot = self.reservations.setdefault(reservation_id, f"slot-{len(self.reservations) + 1}")
        if self.meanwhile:
            await self.meanwhile()
        if self.lost:
            raise self.lost.pop(0)
        return slot


@pytest.fixture(autouse=True)
def database():
    async def fresh():
        async with db.engine.begin() as connection:
            await connection.run_sync(db.Base.metadata.drop_all)
        await db.create()
        async with db.Session.begin() as session:
            session.add(db.Booking(id=1, customer="Kraft", wanted_at="2026-12-14T07:28", seconds=20))

    asyncio.run(fresh())


@pytest.fixture
def sendeplan():
    return FakeSendeplan()


@pytest.fixture
def deliver(sendeplan):
    """The worker with one message: all its tries."""

    async def tries(**message):
        ctx = {"job_id": "j1", "job_try": 0, "sendeplan": sendeplan}
        while ctx["job_try"] < 20:
            ctx["job_try"] += 1
            try:
                return await worker.book_slot(ctx, **message)
            except Retry:
                continue
            except Exception as exc:
                return type(exc).__name__

    return lambda **message: asyncio.run(tries(**message))


@pytest.fixture
def published(monkeypatch):
    ids = []

    async def publish(booking_ids):
        for booking_id in booking_ids:
            ids.append(booking_id)
            await queue._queued(booking_id)

    monkeypatch.setattr(queue, "publish", publish)
    return ids
