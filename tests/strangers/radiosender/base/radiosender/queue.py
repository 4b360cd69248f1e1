"""How bookings get to the worker."""
import logging
from datetime import timedelta

from arq import create_pool
from arq.connections import RedisSettings
from sqlalchemy import select, update

from radiosender import settings
from radiosender.db import Booking, Session, now

log = logging.getLogger("radiosender.queue")

# Longer than the longest wait between two tries.
STANDS_STILL = timedelta(minutes=15)


async def publish(booking_ids) -> None:
    redis_settings = RedisSettings.from_dsn(settings.REDIS_URL)
    redis_settings.conn_retries = 1
    pool = await create_pool(redis_settings)
    try:
        for booking_id in booking_ids:
            await pool.enqueue_job("book_slot", booking_id=booking_id, _job_id=f"book-{booking_id}")
            await _queued(booking_id)
    finally:
        await pool.aclose()


async def _queued(booking_id: int) -> None:
    # Past the version: nobody who edits a booking has to care.
    async with Session.begin() as session:
        await session.execute(
            update(Booking)
            .where(Booking.id == booking_id, Booking.state == "requested")
            .values(queued_at=now(), touched_at=now())
        )


async def request(booking_id: int) -> bool:
    """Asks for the slot of a booking that the desk has entered."""
    async with Session.begin() as session:
        asked = await session.execute(
            update(Booking)
            .where(Booking.id == booking_id, Booking.state == "requested")
            .values(touched_at=now())
        )
    if not asked.rowcount:
        return False
    try:
        await publish([booking_id])
    except Exception as exc:
        log.warning("not queued", extra={"key": f"booking-{booking_id}", "outcome": "unqueued", "reason": type(exc).__name__})
    return True


async def publish_unqueued() -> int:
    return await _publish(Booking.queued_at.is_(None))


async def sweep() -> int:
    return await _publish(Booking.touched_at < now() - STANDS_STILL)


async def _publish(condition) -> int:
    async with Session() as session:
        ids = (
            await session.scalars(
                select(Booking.id)
                .where(Booking.state == "requested", Booking.touched_at.is_not(None), condition)
                .order_by(Booking.id)
            )
        ).all()
    if ids:
        await publish(ids)
        log.warning("queued again", extra={"outcome": "requeued", "bookings": list(ids)})
    return len(ids)
