"""What the warehouse calls, and what brings lost refunds back."""
import time

import structlog
from sqlalchemy import select, update

from strickwaren.actors import refund_return
from strickwaren.db import transaction
from strickwaren.models import INSPECTED, Return
from strickwaren.settings import get_settings

log = structlog.get_logger("strickwaren.returns")


def request_refund(return_number: str) -> bool:
    """Have an inspected return refunded; False if that was asked for before, or there is no such return."""
    now = time.time()
    with transaction() as session:
        asked = session.execute(
            update(Return)
            .where(Return.number == return_number, Return.requested_at.is_(None))
            .values(requested_at=now, check_at=now)
        ).rowcount
    if asked:
        try:
            _publish(return_number)
        except Exception as error:
            # It is written down; resend_lost finds it.
            log.warning("refund not published", key=f"refund-{return_number}", outcome="unpublished", reason=type(error).__name__)
    return bool(asked)


def resend_lost() -> int:
    """Publish the refunds whose messages seem to be lost. Every quarter of an hour, from `python -m strickwaren.sweep`."""
    with transaction() as session:
        lost = session.scalars(
            select(Return.number)
            .where(Return.state == INSPECTED, Return.check_at <= time.time())
            .order_by(Return.check_at, Return.number)
        ).all()
    resent = 0
    for return_number in lost:
        try:
            _publish(return_number)
        except Exception as error:
            log.warning("refund not resent", key=f"refund-{return_number}", outcome="unpublished", reason=type(error).__name__)
        else:
            log.info("refund resent", key=f"refund-{return_number}", outcome="resent")
            resent += 1
    return resent


def _publish(return_number: str) -> None:
    refund_return.send(return_number=return_number)
    with transaction() as session:
        session.execute(
            update(Return)
            .where(Return.number == return_number, Return.state == INSPECTED)
            .values(check_at=time.time() + get_settings().lost_after_seconds)
        )
