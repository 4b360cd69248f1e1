import httpx
import structlog
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from .broker import broker
from .db import Customer, Order, Session, Step
from .errors import BadMessage, NotRefundable, PartnerDown, UnknownOrder
from .payments import payments
from .settings import settings

logger = structlog.get_logger()

GOODWILL_PERCENT = 5


@broker.task(task_name="tickets.refund_order")
async def refund_order(order_id: str, reason: str) -> None:
    """Pay the money back, credit a little goodwill, tell the organiser that the seat is free."""
    if not isinstance(order_id, str) or not order_id.startswith("ord-") or not reason:
        raise BadMessage(f"order_id={order_id!r} reason={reason!r}")
    with structlog.contextvars.bound_contextvars(order_id=order_id):
        order = await load(order_id)
        refund = await finished(order_id, "refund")
        if refund is None:
            refund = await payments.refund(
                order_id=order_id, amount_cents=order.amount_cents, idempotency_key=f"refund:{order_id}"
            )
            await settle(order, refund)
        if await finished(order_id, "organiser") is None:
            await tell_organiser(order, reason)
        logger.info("order_refunded", refund_id=refund["id"])


async def load(order_id: str) -> Order:
    with Session() as session:
        order = session.get(Order, order_id)
    if order is None:
        raise UnknownOrder(order_id)
    if order.status == "used":
        raise NotRefundable(f"{order_id} was used")
    return order


async def finished(order_id: str, name: str) -> dict | None:
    with Session() as session:
        step = session.get(Step, (order_id, name))
        return step.result if step else None


async def settle(order: Order, refund: dict) -> None:
    """The step's row, the order and the credit are committed together or not at all."""
    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="refund", result=refund))
            session.flush()
            session.execute(
                update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"])
            )
            goodwill = order.amount_cents * GOODWILL_PERCENT // 100
            session.execute(
                update(Customer)
                .where(Customer.id == order.customer_id)
                .values(credit_cents=Customer.credit_cents + goodwill)
            )
    except IntegrityError:
        logger.info("settled_by_another_delivery")


async def tell_organiser(order: Order, reason: str) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        response = await client.post(
            f"{settings.organiser_url}/{order.event}",
            json={"order": order.id, "released": True, "reason": reason},
            headers={"Idempotency-Key": f"release:{order.id}"},
        )
        try:
            response.raise_for_status()
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code >= 500:
                raise PartnerDown(f"organiser answered {exc.response.status_code}") from exc
            raise
        answer = response.json()
    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="organiser", result=answer))
    except IntegrityError:
        logger.info("organiser_told_by_another_delivery")
