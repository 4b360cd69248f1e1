"""What the shop does with orders in a request. Money is moved by ticketbay.tasks.settle_order."""

from datetime import timedelta

import structlog
from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy import select, update

from .db import Session
from .models import CANCELLED, PAID, PLACED, REFUND_DUE, RESERVED, UNSETTLED, Order, utcnow
from .tasks import settle_order

log = structlog.get_logger("ticketbay.orders")

STUCK_AFTER = timedelta(minutes=10)


class NotPossible(Exception):
    pass


def checkout(order_id: int) -> None:
    """The buyer has confirmed: place the order and have it charged."""
    if not _move(order_id, (RESERVED, PLACED), PLACED):
        raise NotPossible(f"order {order_id} cannot be placed")
    _publish(order_id)


def cancel(order_id: int) -> None:
    """Before the charge the order is just dropped, after it the money goes back. In between
    (charging) the buyer is asked to try again in a minute."""
    if _move(order_id, (PLACED, RESERVED), CANCELLED):
        return
    if not _move(order_id, (PAID, REFUND_DUE), REFUND_DUE):
        raise NotPossible(f"order {order_id} cannot be cancelled now")
    _publish(order_id)


def publish_pending() -> int:
    """Publish what a request has committed and left unpublished."""
    with Session() as session:
        pending = session.scalars(
            select(Order.id).where(Order.status.in_((PLACED, REFUND_DUE)), Order.published_at.is_(None))
        ).all()
    return sum(_publish(order_id) for order_id in pending)


def requeue_stuck() -> int:
    """Bring back settlements whose message was lost with a worker or a broker."""
    with Session() as session:
        stuck = session.scalars(
            select(Order.id).where(Order.status.in_(UNSETTLED), Order.touched_at < utcnow() - STUCK_AFTER)
        ).all()
    for order_id in stuck:
        log.warning("settlement stood still, publishing again", job="settle-order", order_id=order_id)
    return sum(_publish(order_id) for order_id in stuck)


def _move(order_id: int, old: tuple[str, ...], new: str) -> bool:
    with Session.begin() as session:
        return bool(
            session.execute(
                update(Order)
                .where(Order.id == order_id, Order.status.in_(old))
                .values(status=new, published_at=None, touched_at=utcnow())
            ).rowcount
        )


def _publish(order_id: int) -> bool:
    try:
        settle_order.apply_async(kwargs={"order_id": order_id})
    except BrokerDown as error:
        log.error("settlement not published, the sweep will", job="settle-order", order_id=order_id, reason=repr(error))
        return False
    now = utcnow()
    with Session.begin() as session:
        session.execute(update(Order).where(Order.id == order_id).values(published_at=now, touched_at=now))
    return True
