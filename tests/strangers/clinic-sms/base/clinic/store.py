"""What the job knows and remembers. Each function is one transaction that begins with its write, so SQLite queues the writers."""

import json
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinic import db
from clinic.models import Confirmation, DeadLetter, Status

JOB = "confirmation-sms"


@dataclass(frozen=True, slots=True)
class Claim:
    status: str
    attempt: int
    phone: str
    text: str
    requested_at: int


COLUMNS = (
    Confirmation.status,
    Confirmation.attempts,
    Confirmation.phone,
    Confirmation.text,
    Confirmation.requested_at,
)


async def claim(appointment_id: int) -> Claim | None:
    """Counts one more attempt if the SMS is still to be sent. None: there is no such confirmation."""
    row_id = Confirmation.appointment_id == appointment_id
    async with db.transaction() as session:
        counted = await session.execute(
            update(Confirmation)
            .where(row_id, Confirmation.status == Status.PENDING)
            .values(attempts=Confirmation.attempts + 1, due_at=int(time.time()))
            .returning(*COLUMNS)
            .execution_options(synchronize_session=False)
        )
        row = counted.one_or_none() or (await session.execute(select(*COLUMNS).where(row_id))).one_or_none()
    return Claim(*row) if row else None


async def mark_sent(appointment_id: int, provider_id: str) -> None:
    """It went out, whatever others thought of it meanwhile; a cancellation stays one."""
    async with db.transaction() as session:
        await session.execute(
            update(Confirmation)
            .where(Confirmation.appointment_id == appointment_id)
            .values(
                status=case((Confirmation.status == Status.CANCELLED, Confirmation.status), else_=Status.SENT),
                provider_id=provider_id,
                sent_at=int(time.time()),
                last_error=None,
            )
            .execution_options(synchronize_session=False)
        )
        await session.execute(
            delete(DeadLetter).where(DeadLetter.job == JOB, DeadLetter.key == str(appointment_id))
        )


async def note_failure(appointment_id: int, reason: str, retry_in_s: float) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(Confirmation)
            .where(Confirmation.appointment_id == appointment_id, Confirmation.status == Status.PENDING)
            .values(last_error=reason, due_at=int(time.time() + retry_in_s))
            .execution_options(synchronize_session=False)
        )


async def give_up(appointment_id: int, attempts: int, reason: str) -> bool:
    """Ends a pending confirmation with a dead letter. False: it had ended otherwise."""
    async with db.transaction() as session:
        ended = await session.execute(
            update(Confirmation)
            .where(Confirmation.appointment_id == appointment_id, Confirmation.status == Status.PENDING)
            .values(status=Status.DEAD, last_error=reason)
            .execution_options(synchronize_session=False)
        )
        if not ended.rowcount:
            return False
        await _bury(session, str(appointment_id), {"appointment_id": appointment_id}, attempts, reason)
    return True


async def give_up_message(key: str, payload: Any, attempts: int, reason: str) -> None:
    """A dead letter for a message that no confirmation belongs to."""
    async with db.transaction() as session:
        await _bury(session, key, payload, attempts, reason)


async def _bury(session: AsyncSession, key: str, payload: Any, attempts: int, reason: str) -> None:
    await session.execute(
        insert(DeadLetter)
        .values(
            job=JOB,
            key=key,
            payload=json.dumps(payload, sort_keys=True, default=str),
            attempts=attempts,
            reason=reason,
            created_at=int(time.time()),
        )
        .on_conflict_do_nothing(index_elements=["job", "key"])
    )


async def stalled(older_than_s: int) -> list[tuple[int, int, int]]:
    """(appointment, attempts, requeues) of what should have moved on by now."""
    async with db.transaction() as session:
        rows = await session.execute(
            select(Confirmation.appointment_id, Confirmation.attempts, Confirmation.requeues)
            .where(Confirmation.status == Status.PENDING, Confirmation.due_at <= int(time.time()) - older_than_s)
            .order_by(Confirmation.due_at)
            .limit(500)
        )
        return [tuple(row) for row in rows]


async def note_requeue(appointment_id: int) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(Confirmation)
            .where(Confirmation.appointment_id == appointment_id)
            .values(requeues=Confirmation.requeues + 1, due_at=int(time.time()))
            .execution_options(synchronize_session=False)
        )
