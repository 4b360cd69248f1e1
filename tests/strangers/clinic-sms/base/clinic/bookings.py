"""What the front desk does."""

import time

from redis.exceptions import RedisError
from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from clinic import db, queue
from clinic.log import get_logger
from clinic.models import Appointment, Confirmation, Status

log = get_logger(__name__)


class UnknownAppointment(LookupError):
    pass


async def confirm(appointment_id: int) -> None:
    """Has the patient told by SMS. May be called again; there is one SMS for an appointment."""
    async with db.transaction() as session:
        appointment = await session.scalar(select(Appointment).where(Appointment.id == appointment_id))
        if appointment is None:
            raise UnknownAppointment(appointment_id)
    now = int(time.time())
    async with db.transaction() as session:
        await session.execute(
            insert(Confirmation)
            .values(
                appointment_id=appointment_id,
                phone=appointment.phone,
                text=f"Your appointment on {appointment.starts_at} is confirmed. Call us to change it.",
                requested_at=now,
                due_at=now,
            )
            .on_conflict_do_nothing(index_elements=["appointment_id"])
        )
    try:
        await queue.enqueue_confirmation(appointment_id)
    except (RedisError, OSError) as exc:
        # The row is there; the sweep enqueues it once Redis is back.
        log.warning("confirmation.not_enqueued", appointment_id=appointment_id, reason=repr(exc))


async def cancel(appointment_id: int) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(Confirmation)
            .where(Confirmation.appointment_id == appointment_id, Confirmation.status == Status.PENDING)
            .values(status=Status.CANCELLED)
            .execution_options(synchronize_session=False)
        )
