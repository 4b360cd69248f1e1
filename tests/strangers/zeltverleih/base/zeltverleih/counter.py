"""The counter: tents go out and come back."""
import time
import uuid

from sqlalchemy import insert, select, update

from . import refund_queue
from .tables import engine, rentals, refunds


class NotOut(Exception):
    pass


def take_back(rental_id):
    """Note the return and owe the deposit; a second time it does nothing."""
    with engine().begin() as conn:
        rental = conn.execute(select(rentals).where(rentals.c.id == rental_id)).one_or_none()
        if rental is None:
            raise NotOut(rental_id)
        if rental.status == "returned":
            return
        conn.execute(update(rentals).where(rentals.c.id == rental_id).values(status="returned"))
        conn.execute(insert(refunds).values(
            rental_id=rental_id,
            charge_id=rental.charge_id,
            amount_cents=rental.deposit_cents,
            idempotency_key=f"deposit-{uuid.uuid4()}",
            next_at=time.time(),
        ))


def once_more(refund_id):
    """After a dead letter was looked into."""
    return refund_queue.revive(refund_id, time.time())
