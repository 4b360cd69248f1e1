"""The table refunds as a queue. A claim is a lease: who holds it may put off or bury, anybody may finish."""
from sqlalchemy import and_, delete, func, insert, or_, select, update

from .tables import cash_book, dead_letters, engine, refunds

MAX_TRIES = 5
KEY_GOOD_FOR = 20 * 3600


def claim(owner, now, lease_seconds):
    free = and_(
        refunds.c.state == "due",
        refunds.c.next_at <= now,
        or_(refunds.c.lease_until.is_(None), refunds.c.lease_until <= now),
    )
    with engine().begin() as conn:
        refund_id = conn.execute(
            select(refunds.c.id).where(free).order_by(refunds.c.next_at, refunds.c.id).limit(1)
        ).scalar_one_or_none()
        if refund_id is None:
            return None
        taken = conn.execute(
            update(refunds).where(refunds.c.id == refund_id, free).values(
                lease_owner=owner,
                lease_until=now + lease_seconds,
                tries=refunds.c.tries + 1,
                first_try_at=func.coalesce(refunds.c.first_try_at, now),
            )
        )
        if not taken.rowcount:
            return None
        return conn.execute(select(refunds).where(refunds.c.id == refund_id)).one()


def finish(refund, refund_id, now):
    """Done, with its line in the cash book. False if it was done before."""
    with engine().begin() as conn:
        first = conn.execute(
            update(refunds).where(refunds.c.id == refund.id, refunds.c.state != "done").values(
                state="done", refund_id=refund_id, lease_owner=None, lease_until=None
            )
        ).rowcount
        if first:
            conn.execute(insert(cash_book).values(
                rental_id=refund.rental_id, kind="deposit refund", cents=-refund.amount_cents, at=now
            ))
            conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund.id))
    return bool(first)


def put_off(refund, until):
    """Free again, and due at `until`. False if the lease is somebody else's by now."""
    with engine().begin() as conn:
        return bool(conn.execute(
            update(refunds).where(_held(refund)).values(next_at=until, lease_owner=None, lease_until=None)
        ).rowcount)


def bury(refund, reason, now):
    with engine().begin() as conn:
        if not conn.execute(
            update(refunds).where(_held(refund)).values(state="dead", lease_owner=None, lease_until=None)
        ).rowcount:
            return False
        conn.execute(insert(dead_letters).values(refund=refund.id, reason=reason, tries=refund.tries, at=now))
    return True


def revive(refund_id, now):
    """Five tries more, while the provider still knows the key."""
    with engine().begin() as conn:
        revived = conn.execute(
            update(refunds).where(
                refunds.c.id == refund_id, refunds.c.state == "dead", refunds.c.first_try_at > now - KEY_GOOD_FOR
            ).values(state="due", tries=0, next_at=now)
        ).rowcount
        if revived:
            conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund_id))
    return bool(revived)


def _held(refund):
    return and_(
        refunds.c.id == refund.id, refunds.c.state == "due", refunds.c.lease_owner == refund.lease_owner
    )
