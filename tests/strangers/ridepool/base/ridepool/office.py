"""What finance does, and what is done for it when nobody looks."""

import time

import structlog

from ridepool import settings
from ridepool.base import bury
from ridepool.uow import UnitOfWork

logger = structlog.get_logger("ridepool")

TASK = "ridepool.pay_driver"


def approve_payout(payout_id: int) -> bool:
    """The driver's account as it is now is what will be paid to. False if it was approved before."""
    with UnitOfWork() as uow:
        if uow.payouts.get(payout_id) is None:
            raise LookupError(f"no payout {payout_id}")
        approved = uow.payouts.approve(payout_id)
    if approved:
        publish(payout_id)
    return approved


def publish(payout_id: int) -> bool:
    from ridepool.tasks import pay_driver

    log = logger.bind(job=TASK, key=payout_id)
    try:
        sent = pay_driver.delay(payout_id=payout_id)
    except Exception as exc:
        log.warning("payout_not_published", outcome="left_to_sweep", error=type(exc).__name__)
        return False
    with UnitOfWork() as uow:
        uow.payouts.published(payout_id)
    log.info("payout_published", outcome="published", task_id=sent.id)
    return True


def sweep() -> int:
    """Approved payouts that were never published, or that have not moved for long, are published again."""
    with UnitOfWork() as uow:
        idle = uow.payouts.idle(before=time.time() - settings.STALE_AFTER)
    count = 0
    for payout in idle:
        log = logger.bind(job=TASK, key=payout.id, start=payout.starts)
        if payout.starts >= settings.MAX_STARTS:
            if bury(TASK, "sweep", {"payout_id": payout.id}, f"stood still after {payout.starts} starts"):
                log.error("payout_given_up", outcome="dead")
            continue
        log.warning("payout_stood_still", outcome="requeued")
        count += publish(payout.id)
    return count
