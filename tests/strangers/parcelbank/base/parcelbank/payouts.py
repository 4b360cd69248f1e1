"""What the clerks' side calls, and what brings a payout to the worker."""
from datetime import timedelta

import structlog
from sqlalchemy.orm.exc import StaleDataError

from parcelbank.app import app
from parcelbank.models import utcnow
from parcelbank.uow import UnitOfWork

log = structlog.get_logger(__name__)

SEND_PAYOUT = "parcelbank.send_payout"
STUCK_AFTER = timedelta(minutes=10)


def release(payout_ref: str) -> None:
    """Let an approved payout go. Calling it again changes nothing."""
    with UnitOfWork() as uow:
        payout = uow.payouts.get(payout_ref)
        if payout.released_at is None:
            payout.released_at = payout.touched_at = utcnow()
        uow.outbox.add_once(SEND_PAYOUT, payout_ref, {"payout_ref": payout_ref})
        uow.commit()
    try:
        publish_pending()
    except Exception:
        # It lies in the outbox: beat publishes it within half a minute.
        log.warning("outbox.not_published", payout_ref=payout_ref, exc_info=True)


def publish_pending() -> int:
    """Relay: publish first, tick off afterwards. A crash between the two publishes twice."""
    count = 0
    with UnitOfWork() as uow:
        for message in uow.outbox.unpublished():
            app.send_task(message.task, kwargs=message.kwargs)
            message.published_at = utcnow()
            uow.commit()
            count += 1
            log.info("outbox.published", job=message.task, **message.kwargs)
    return count


def republish_stuck() -> int:
    """Payouts that stood still for longer than any retry waits: their message is lost."""
    count = 0
    with UnitOfWork() as uow:
        for payout in uow.payouts.stuck(before=utcnow() - STUCK_AFTER):
            payout.touched_at = utcnow()
            try:
                uow.commit()
            except StaleDataError:  # it moves after all
                uow.session.rollback()
                continue
            app.send_task(SEND_PAYOUT, kwargs={"payout_ref": payout.ref})
            count += 1
            log.warning("payout.republished", job=SEND_PAYOUT, payout_ref=payout.ref)
    return count
