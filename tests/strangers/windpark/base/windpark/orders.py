"""What may happen to a curtailment order. Each function is one transaction."""
import time
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from windpark.tables import acknowledgements, dead_orders, engine, orders

MAX_ATTEMPTS = 6
# Longer than the operator's client can wait for an answer (10 s and 20 s).
LEASE_SECONDS = 120
# The operator knows an Idempotency-Key for 72 hours; we stop well before.
KEY_IS_SAFE_FOR = 48 * 3600


@dataclass(frozen=True)
class Claim:
    order_id: int
    token: str
    attempt: int
    park: str
    limit_kw: int
    valid_from: int
    valid_to: int

    @property
    def key(self) -> str:
        return f"setpoint-{self.order_id}"


@dataclass(frozen=True)
class Buried:
    order_id: int
    attempts: int
    reason: str


def now() -> int:
    return int(time.time())


def due_ids(limit: int = 50) -> list[int]:
    at = now()
    query = (
        select(orders.c.id)
        .where(orders.c.state == "pending", orders.c.send_at <= at, orders.c.leased_until <= at)
        .order_by(orders.c.send_at, orders.c.id)
        .limit(limit)
    )
    with engine().begin() as conn:
        return list(conn.scalars(query))


def claim(order_id: int) -> Claim | Buried | None:
    """Take an order for one attempt. None if it is not to be had, Buried if it has had its tries."""
    at = now()
    free = (orders.c.id == order_id, orders.c.state == "pending", orders.c.send_at <= at, orders.c.leased_until <= at)
    with engine().begin() as conn:
        row = conn.execute(select(orders).where(*free)).one_or_none()
        if row is None:
            return None
        reason = None
        if row.attempts >= MAX_ATTEMPTS:
            reason = "attempts used up, the last came to no end"
        elif row.first_tried_at is not None and at - row.first_tried_at > KEY_IS_SAFE_FOR:
            reason = "first tried too long ago, the operator may have forgotten the key"
        if reason:
            _bury(conn, order_id, row.attempts, reason)
            return Buried(order_id, row.attempts, reason)
        token = uuid.uuid4().hex
        conn.execute(
            update(orders)
            .where(*free)
            .values(
                attempts=row.attempts + 1,
                first_tried_at=at if row.first_tried_at is None else row.first_tried_at,
                lease=token,
                leased_until=at + LEASE_SECONDS,
            )
        )
    return Claim(order_id, token, row.attempts + 1, row.park, row.limit_kw, row.valid_from, row.valid_to)


def acknowledge(claim: Claim, reference: str) -> bool:
    """Write down the operator's answer; False if it was known. It stands whoever holds the lease by
    now, and outweighs a burial: the set-point is with the operator."""
    with engine().begin() as conn:
        known = conn.scalar(select(acknowledgements.c.order_id).where(acknowledgements.c.order_id == claim.order_id))
        if known is not None:
            return False
        conn.execute(
            insert(acknowledgements).values(order_id=claim.order_id, reference=reference, received_at=now())
        )
        conn.execute(
            update(orders)
            .where(orders.c.id == claim.order_id, orders.c.state.in_(("pending", "dead")))
            .values(state="acknowledged", lease=None, leased_until=0)
        )
        conn.execute(delete(dead_orders).where(dead_orders.c.order_id == claim.order_id))
    return True


def put_off(claim: Claim, seconds: int) -> bool:
    """Try again later; False if the order is no longer ours."""
    with engine().begin() as conn:
        done = conn.execute(update(orders).where(*_ours(claim)).values(lease=None, leased_until=now() + seconds))
    return done.rowcount == 1


def bury(claim: Claim, reason: str) -> bool:
    """Give up; False if the order is no longer ours."""
    with engine().begin() as conn:
        if conn.scalar(select(orders.c.id).where(*_ours(claim))) is None:
            return False
        _bury(conn, claim.order_id, claim.attempt, reason)
    return True


def withdraw(order_id: int) -> bool:
    """The desk takes an order back; False once it has been tried, for it may be with the operator."""
    with engine().begin() as conn:
        done = conn.execute(
            update(orders)
            .where(orders.c.id == order_id, orders.c.state == "pending", orders.c.attempts == 0)
            .values(state="withdrawn")
        )
    return done.rowcount == 1


def _ours(claim: Claim):
    return orders.c.id == claim.order_id, orders.c.state == "pending", orders.c.lease == claim.token


def _bury(conn, order_id: int, attempts: int, reason: str) -> None:
    conn.execute(update(orders).where(orders.c.id == order_id).values(state="dead", lease=None, leased_until=0))
    conn.execute(
        insert(dead_orders).values(order_id=order_id, reason=reason[:200], attempts=attempts, buried_at=now())
    )
