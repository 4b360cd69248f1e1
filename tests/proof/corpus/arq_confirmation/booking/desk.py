"""The front desk: what it calls when a booking is made."""

from contextlib import closing

from arq import create_pool

from booking import db
from booking.worker import REDIS


async def book(booking_id: int, email: str) -> None:
    """Keeps the booking, then has it confirmed."""
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into bookings values (?, ?)", (booking_id, email))
    redis = await create_pool(REDIS)
    await redis.enqueue_job("confirm", booking_id, email)
    await redis.aclose()
