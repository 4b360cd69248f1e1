import json

import structlog
from celery import Task
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from .celery_app import app
from .db import Session
from .gateway import (
    AlreadyRefunded,
    CardDeclined,
    GatewayDown,
    GatewayTimeout,
    gateway,
)
from .models import (
    ATTENTION,
    CANCELLED,
    CHARGING,
    DECLINED,
    PAID,
    PLACED,
    REFUND_DUE,
    REFUNDED,
    UNSETTLED,
    FailedSettlement,
    Order,
    utcnow,
)

log = structlog.get_logger("ticketbay.settlement")

MAX_UNRETURNED = 5


class BadMessage(Exception):
    pass


class NoSuchOrder(Exception):
    pass


class WorkerKiller(Exception):
    """The order has cost several workers their lives; somebody has to look at it."""


class SettlementTask(Task):
    """Says in the log how each attempt ends, and records what is given up."""

    def before_start(self, task_id, args, kwargs):
        structlog.contextvars.bind_contextvars(
            job="settle-order", task_id=task_id, order_id=kwargs.get("order_id"),
            attempt=self.request.retries + 1,
        )
        log.info("settlement started")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        log.warning("settlement failed, will be retried", reason=repr(exc))
        with Session.begin() as session:
            session.execute(
                update(Order).where(Order.id == kwargs.get("order_id")).values(unreturned=0, touched_at=utcnow())
            )

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        log.error("settlement given up", reason=repr(exc), exc_info=(type(exc), exc, exc.__traceback__))
        order_id = kwargs.get("order_id")
        letter = {"task_id": task_id, "message": json.dumps([args, kwargs], default=str), "error": repr(exc)}
        status = DECLINED if isinstance(exc, CardDeclined) else ATTENTION
        try:
            with Session.begin() as session:
                if well_formed(order_id):
                    closed = session.execute(
                        update(Order)
                        .where(Order.id == order_id, Order.status.in_(UNSETTLED))
                        .values(status=status, unreturned=0, touched_at=utcnow())
                    ).rowcount
                    known = session.scalar(select(Order.id).where(Order.id == order_id))
                    if known and not closed:
                        log.info("another delivery has ended the settlement")
                        return
                    letter["order_id"] = known
                session.execute(insert(FailedSettlement).values(**letter))
        except IntegrityError:
            log.info("the failure was recorded before")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        structlog.contextvars.clear_contextvars()


def well_formed(order_id) -> bool:
    return isinstance(order_id, int) and not isinstance(order_id, bool) and order_id > 0


@app.task(
    bind=True,
    base=SettlementTask,
    name="ticketbay.settle_order",
    autoretry_for=(GatewayDown, GatewayTimeout, OperationalError),
    max_retries=4,
    retry_backoff=10,
    retry_backoff_max=300,
    retry_jitter=True,
)
def settle_order(self, *, order_id):
    """Charge an order that was placed, or refund one that was cancelled after it was paid."""
    if not well_formed(order_id):
        raise BadMessage(f"order_id {order_id!r}")
    order = claim(order_id)
    if order is None:
        log.info("nothing to settle")
        return
    if order.status == CHARGING:
        order = charge(order)
    if order.status == REFUND_DUE:
        order = refund(order)
    log.info("settlement succeeded", status=order.status, charge_id=order.charge_id, refund_id=order.refund_id)


def claim(order_id: int) -> Order | None:
    """Start on the order, or say that there is nothing to do. From charging on an order cannot be
    cancelled any more; whoever finds it so goes on with the same idempotency key."""
    with Session.begin() as session:
        taken = session.execute(
            update(Order)
            .where(Order.id == order_id, Order.status.in_(UNSETTLED))
            .values(unreturned=Order.unreturned + 1, touched_at=utcnow())
        ).rowcount
        order = session.get(Order, order_id)
        if order is None:
            raise NoSuchOrder(f"order {order_id}")
        if not taken:
            return None
        if order.unreturned > MAX_UNRETURNED:
            raise WorkerKiller(f"order {order_id}: {MAX_UNRETURNED} workers died of it")
        if order.status == PLACED:
            order.status = CHARGING
        session.flush()
        session.expunge(order)
        return order


def charge(order: Order) -> Order:
    charge_id = gateway.charge(
        order.card_token, order.amount_cents, order.currency, idempotency_key=f"charge-{order.id}"
    )
    # attention: another delivery gave up in the meantime, but the gateway has answered this one
    if not advance(order.id, (CHARGING, ATTENTION), PAID, charge_id=charge_id):
        # support may cancel by hand while the gateway takes its time: the money goes back
        advance(order.id, (CANCELLED,), REFUND_DUE, charge_id=charge_id)
    return reload(order.id)


def refund(order: Order) -> Order:
    try:
        refund_id = gateway.refund(order.charge_id, order.amount_cents, idempotency_key=f"refund-{order.id}")
    except AlreadyRefunded as error:
        log.info("the gateway had refunded it before", refund_id=error.refund_id)
        refund_id = error.refund_id
    advance(order.id, (REFUND_DUE, ATTENTION), REFUNDED, refund_id=refund_id)
    return reload(order.id)


def advance(order_id: int, old: tuple[str, ...], new: str, **values) -> bool:
    with Session.begin() as session:
        moved = session.execute(
            update(Order)
            .where(Order.id == order_id, Order.status.in_(old))
            .values(status=new, unreturned=0, touched_at=utcnow(), **values)
        ).rowcount
    if not moved:
        log.info("order is not there any more", expected=old, wanted=new)
    return bool(moved)


def reload(order_id: int) -> Order:
    with Session() as session:
        order = session.get(Order, order_id)
        session.expunge(order)
        return order
