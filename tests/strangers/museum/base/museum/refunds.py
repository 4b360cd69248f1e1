"""What a refund may become, and what comes with it."""
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from museum.database import now, transaction
from museum.models import DeadJob, Refund, Ticket, TimeSlot

ASK_FOR = 20 * 3600  # PayDesk knows a request_id for 24 hours


class Hopeless(Exception):
    pass


class NoSuchTicket(Hopeless):
    pass


class NotReturnable(Hopeless):
    pass


class AskedTooLong(Hopeless):
    pass


async def open_refund(session: AsyncSession, ticket_id: int) -> Refund:
    """The ticket's refund; the first to ask takes the ticket out of circulation."""
    refund = await session.get(Refund, ticket_id)
    if refund is not None:
        return refund
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise NoSuchTicket(f"ticket {ticket_id}")
    if ticket.status != "sold":
        raise NotReturnable(f"ticket {ticket_id} is {ticket.status}")
    ticket.status = "returning"
    refund = Refund(ticket_id=ticket.id, payment_id=ticket.payment_id, amount_cents=ticket.price_cents, state="pending")
    session.add(refund)
    return refund


async def start(ticket_id: int) -> Refund:
    async with transaction() as session:
        refund = await open_refund(session, ticket_id)
        if refund.state == "pending":
            at = now()
            refund.first_try_at = refund.first_try_at or at
            if at - refund.first_try_at > ASK_FOR:
                raise AskedTooLong(f"ticket {ticket_id}, for {at - refund.first_try_at:.0f}s")
            refund.touched_at = at
    return refund


async def settle(ticket_id: int, paydesk_id: str) -> bool:
    """The money has moved: write that down, and put the place on sale again. That beats a failure of somebody else."""
    async with transaction() as session:
        moved = await session.execute(
            update(Refund)
            .where(Refund.ticket_id == ticket_id, Refund.state != "refunded")
            .values(state="refunded", paydesk_id=paydesk_id)
        )
        if moved.rowcount == 0:
            return False
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(status="returned"))
        await session.execute(
            update(TimeSlot)
            .where(TimeSlot.id == select(Ticket.slot_id).where(Ticket.id == ticket_id).scalar_subquery())
            .values(sold=TimeSlot.sold - 1)
        )
        await session.execute(delete(DeadJob).where(DeadJob.key == f"refund_ticket:{ticket_id}"))
    return True


async def give_up(ticket_id: int | None, *, function: str, job_id: str, message: dict, error: str, attempt: int) -> None:
    async with transaction() as session:
        if ticket_id is not None:
            refund = await session.get(Refund, ticket_id)
            if refund is not None and refund.state == "refunded":
                return
            if refund is not None:
                refund.state = "failed"
        await session.execute(
            insert(DeadJob)
            .values(
                key=f"{function}:{ticket_id if ticket_id is not None else job_id}",
                function=function, job_id=job_id, message=message, error=error, attempt=attempt, died_at=now(),
            )
            .on_conflict_do_nothing()
        )
