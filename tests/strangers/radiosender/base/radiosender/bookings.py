"""What happens to a booking's row."""
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm.exc import StaleDataError

from radiosender import settings
from radiosender.db import AuditLine, Booking, DeadLetter, Session, now
from radiosender.errors import Contended, NoSuchBooking, StartedTooOften

READS = 5


@dataclass(frozen=True)
class Wish:
    booking_id: int
    reservation_id: str
    wanted_at: str
    seconds: int


def subject_of(booking_id: int) -> str:
    return f"booking-{booking_id}"


async def change(booking_id: int, how):
    """Reads the row, lets `how` change it, and reads again when somebody else was faster."""
    for _ in range(READS):
        async with Session() as session:
            booking = await session.get(Booking, booking_id)
            if booking is None:
                raise NoSuchBooking(f"booking {booking_id}")
            try:
                result = await how(session, booking)
                await session.commit()
                return result
            except StaleDataError:
                continue
    raise Contended(f"booking {booking_id}")


async def start(booking_id: int) -> Wish | None:
    async def begin(session, booking):
        if booking.state != "requested":
            return None
        booking.starts += 1
        booking.touched_at = now()
        return Wish(booking.id, f"spot-{booking.id}", booking.wanted_at, booking.seconds), booking.starts

    begun = await change(booking_id, begin)
    if begun is None:
        return None
    wish, starts = begun
    if starts > settings.MAX_STARTS:
        raise StartedTooOften(f"{settings.MAX_STARTS} starts")
    return wish


async def finish(booking_id: int, slot: str) -> bool:
    async def book(session, booking):
        if booking.state == "booked":
            return False
        booking.state = "booked"
        booking.slot = slot
        booking.touched_at = now()
        await session.flush()
        session.add(AuditLine(booking_id=booking_id, event="booked", detail=slot))
        await session.execute(delete(DeadLetter).where(DeadLetter.subject == subject_of(booking_id)))
        return True

    return await change(booking_id, book)


async def give_up(booking_id: int, job_id: str, reason: str) -> bool:
    async def fail(session, booking):
        if booking.state != "requested":
            return False
        booking.state = "failed"
        booking.touched_at = now()
        await session.execute(dead(subject_of(booking_id), job_id, reason))
        return True

    return await change(booking_id, fail)


async def bury(subject: str, job_id: str, reason: str) -> None:
    """Messages that belong to no booking."""
    async with Session.begin() as session:
        await session.execute(dead(subject, job_id, reason))


def dead(subject, job_id, reason):
    row = dict(subject=subject, job_id=job_id, reason=reason[:200], at=now())
    return insert(DeadLetter).values(**row).on_conflict_do_nothing()


async def edit_note(booking_id: int, version: int, note: str) -> int:
    async with Session() as session:
        booking = await session.get(Booking, booking_id)
        if booking is None:
            raise NoSuchBooking(f"booking {booking_id}")
        if booking.version != version:
            raise Contended(f"booking {booking_id}")
        booking.note = note
        await session.commit()
        return booking.version
