import sys

from sqlalchemy import select, update

from .broker import broker
from .db import Order, Outbox, Session, now
from .errors import UnknownOrder


async def cancel_order(order_id: str, reason: str) -> None:
    """The box office cancels: the order and the outbox row are one transaction."""
    with Session.begin() as session:
        order = session.get(Order, order_id)
        if order is None:
            raise UnknownOrder(order_id)
        if order.status == "paid":
            order.status = "cancelled"
        session.add(Outbox(task="tickets.refund_order", payload={"order_id": order_id, "reason": reason}))
    await publish_pending()


async def publish_pending() -> None:
    """Also run by cron, `python -m tickets.service`, every minute."""
    from . import tasks  # noqa: F401  (registers them)

    with Session() as session:
        rows = (session.scalars(select(Outbox).where(Outbox.sent_at.is_(None)).order_by(Outbox.id))).all()
    for row in rows:
        await broker.find_task(row.task).kiq(**row.payload)
        with Session.begin() as session:
            session.execute(update(Outbox).where(Outbox.id == row.id).values(sent_at=now()))


async def main() -> None:
    await broker.startup()
    await publish_pending()
    await broker.shutdown()


if __name__ == "__main__":
    import asyncio

    sys.exit(asyncio.run(main()))
