from datetime import date, timedelta

import structlog
from sqlalchemy import or_, select

from . import ledger
from .config import RENEW_AHEAD
from .models import Renewal, Subscription, now
from .queue import publish
from .store import session

log = structlog.get_logger()
BATCH = 500


async def sweep(ctx=None) -> int:
    """Open what runs out within a week; publish what is due and what a dead worker has left."""
    async with session() as s:
        horizon = date.today() + RENEW_AHEAD
        unopened = (await s.scalars(
            select(Subscription.id)
            .outerjoin(Renewal, (Renewal.subscription_id == Subscription.id)
                       & (Renewal.period_start == Subscription.paid_until))
            .where(Subscription.status == "active", Subscription.paid_until <= horizon,
                   Subscription.paid_until > date.today() - timedelta(days=30), Renewal.id.is_(None))
            .order_by(Subscription.paid_until).limit(BATCH))).all()
    for subscription_id in unopened:
        await ledger.open_renewal(subscription_id)
    async with session() as s:
        waiting = (await s.scalars(
            select(Renewal.id)
            .where(or_(Renewal.status == "due", Renewal.status == "charging"), Renewal.wake_at <= now())
            .order_by(Renewal.wake_at).limit(BATCH))).all()
    published = await publish(list(waiting), redis=ctx["redis"] if ctx else None)
    if published:
        log.info("sweep", opened=len(unopened), published=published)
    return published
