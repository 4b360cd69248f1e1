"""Handing a ticket back, and the sweep behind it."""
import logging
from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings
from sqlalchemy import or_, select, update

from museum.database import now, transaction
from museum.models import Refund
from museum.refunds import open_refund
from museum.settings import settings

log = logging.getLogger(__name__)

QUIET_FOR = 600


@asynccontextmanager
async def queue():
    pool = await create_pool(RedisSettings.from_dsn(settings.redis))
    try:
        yield pool
    finally:
        await pool.aclose()


async def publish(pool, ticket_id: int) -> None:
    job = await pool.enqueue_job("refund_ticket", ticket_id=ticket_id)
    async with transaction() as session:
        await session.execute(update(Refund).where(Refund.ticket_id == ticket_id).values(touched_at=now()))
    log.info("refund of ticket %s queued as %s", ticket_id, job and job.job_id)


async def request_return(ticket_id: int) -> None:
    """The web shop calls this. Whatever the queue does, the return stands once this transaction is through."""
    async with transaction() as session:
        refund = await open_refund(session, ticket_id)
        if refund.state != "pending":
            return
    try:
        async with queue() as pool:
            await publish(pool, ticket_id)
    except Exception:
        log.warning("refund of ticket %s not queued, the sweep will", ticket_id, exc_info=True)


async def requeue_stuck(ctx=None) -> int:
    """Pending refunds that were never queued, or that nobody has touched for a while."""
    async with transaction() as session:
        stuck = (
            await session.scalars(
                select(Refund.ticket_id)
                .where(
                    Refund.state == "pending",
                    or_(Refund.touched_at.is_(None), Refund.touched_at < now() - QUIET_FOR),
                )
                .order_by(Refund.ticket_id)
            )
        ).all()
    if stuck:
        log.warning("%d refunds were stuck: %s", len(stuck), list(stuck))
        async with queue() as pool:
            for ticket_id in stuck:
                await publish(pool, ticket_id)
    return len(stuck)
