"""Refunds in the database."""
import json
import time

from sqlalchemy import case, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from boxoffice import db, policy
from boxoffice.db import dead_letters, ledger, orders, refunds, tickets

_OPEN = (refunds.c.status == "pending") | ((refunds.c.status == "refunded") & (refunds.c.notice == "due"))


def is_open(row) -> bool:
    return row.status == "pending" or (row.status == "refunded" and row.notice == "due")


def request(tx, order_id: int) -> bool:
    """Write down that the order is to be refunded. False where it was before."""
    order = tx.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    if order is None:
        raise policy.NoSuchOrder(f"there is no order {order_id}")
    return tx.execute(
        upsert(refunds).values(
            order_id=order_id, amount_cents=order.amount_cents, status="pending", notice="due",
            attempts=0, touched_at=time.time(),
        ).on_conflict_do_nothing()).rowcount == 1


def _row(tx, order_id: int):
    return tx.execute(
        select(refunds, orders.c.charge_id, orders.c.currency, orders.c.customer_email, orders.c.show)
        .join(orders).where(refunds.c.order_id == order_id)).one()


def begin(order_id: int):
    """Count an attempt at an open refund, and hand its row out."""
    now = time.time()
    with db.begin() as tx:
        request(tx, order_id)
        row = _row(tx, order_id)
        if not is_open(row):
            return row
        if row.attempts >= policy.MAX_ATTEMPTS:
            raise policy.Exhausted(f"{row.attempts} attempts have begun")
        if row.status == "pending" and row.first_tried_at and now - row.first_tried_at > policy.KEY_SAFE_FOR:
            raise policy.KeyTooOld("first tried more than 20 hours ago, look at Paynest's dashboard")
        tx.execute(
            update(refunds).where(refunds.c.order_id == order_id)
            .values(attempts=row.attempts + 1, touched_at=now, first_tried_at=row.first_tried_at or now))
        return row


def mark_refunded(order_id: int, paynest_id: str):
    """The money is on its way: whoever comes first books it, even where it was given up meanwhile."""
    with db.begin() as tx:
        booked = tx.execute(
            update(refunds).where(refunds.c.order_id == order_id, refunds.c.status != "refunded")
            .values(status="refunded", paynest_id=paynest_id, notice="due")).rowcount
        if booked:
            row = _row(tx, order_id)
            tx.execute(update(orders).where(orders.c.id == order_id).values(status="refunded"))
            tx.execute(update(tickets).where(tickets.c.order_id == order_id).values(void=1))
            tx.execute(insert(ledger).values(order_id=order_id, kind="refund", amount_cents=-row.amount_cents))
            tx.execute(update(dead_letters).where(dead_letters.c.order_id == order_id)
                       .values(resolved_at=time.time()))
        return _row(tx, order_id)


def mark_notified(order_id: int) -> None:
    with db.begin() as tx:
        tx.execute(update(refunds).where(refunds.c.order_id == order_id).values(notice="sent"))
        tx.execute(update(dead_letters).where(dead_letters.c.order_id == order_id)
                   .values(resolved_at=time.time()))


def bury(message_id: str, kwargs: dict, reason: str) -> None:
    """End a refund that is given up, and keep its message. The actor option dead_letter names this."""
    order_id = kwargs.get("order_id")
    if type(order_id) is not int or set(kwargs) != {"order_id"}:
        order_id = None
    with db.begin() as tx:
        if order_id is not None and tx.execute(
                select(refunds.c.order_id).where(refunds.c.order_id == order_id)).first():
            ended = tx.execute(
                update(refunds).where(refunds.c.order_id == order_id, _OPEN).values(
                    status=case((refunds.c.status == "pending", "failed"), else_=refunds.c.status),
                    notice="failed")).rowcount
            if not ended:
                return
        tx.execute(
            upsert(dead_letters).values(
                message_id=message_id, order_id=order_id, reason=reason, dead_at=time.time(),
                kwargs=json.dumps(kwargs, sort_keys=True, default=repr),
            ).on_conflict_do_nothing())


def stale(older_than: float) -> list[int]:
    with db.begin() as tx:
        return list(tx.scalars(
            select(refunds.c.order_id).where(_OPEN, refunds.c.touched_at < older_than)
            .order_by(refunds.c.order_id)))
