"""What happens to an order, one transaction each."""
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from . import db
from .models import Campaign, DeadLetter, TopUp, now


def order(order_no, campaign_id, amount_cents, idempotency_key):
    """Write an order down; one that is there stays as it is. Returns its status."""
    with db.begin() as session:
        session.execute(
            insert(TopUp)
            .values(order_no=order_no, campaign_id=campaign_id, amount_cents=amount_cents,
                    idempotency_key=idempotency_key)
            .on_conflict_do_nothing(index_elements=[TopUp.order_no])
        )
        return session.scalar(select(TopUp.status).where(TopUp.order_no == order_no))


def begin(order_no):
    """Count a start of an open order. The order and its campaign, or None."""
    with db.begin() as session:
        session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, TopUp.status == "ordered")
            .values(starts=TopUp.starts + 1, touched_at=now(),
                    first_tried_at=func.coalesce(TopUp.first_tried_at, now()))
            .execution_options(synchronize_session=False)
        )
        return session.execute(
            select(TopUp.order_no, TopUp.amount_cents, TopUp.idempotency_key, TopUp.status, TopUp.starts,
                   TopUp.first_tried_at, Campaign.provider_ref)
            .join(Campaign, Campaign.id == TopUp.campaign_id)
            .where(TopUp.order_no == order_no)
        ).one_or_none()


def book(order_no, receipt):
    """The order is booked, and its campaign has the more; False where that was so before."""
    with db.begin() as session:
        moved = session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, TopUp.status != "booked")
            .values(status="booked", receipt=receipt, touched_at=now())
            .returning(TopUp.campaign_id, TopUp.amount_cents)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if moved is None:
            return False
        session.execute(
            update(Campaign)
            .where(Campaign.id == moved.campaign_id)
            .values(budget_cents=Campaign.budget_cents + moved.amount_cents)
            .execution_options(synchronize_session=False)
        )
        session.execute(delete(DeadLetter).where(DeadLetter.key == order_no))
        return True


def bury(order_no, job_id, reason):
    """Give an open order up. Its starts, or None where it is not open any more."""
    with db.begin() as session:
        starts = session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, TopUp.status == "ordered")
            .values(status="dead", touched_at=now())
            .returning(TopUp.starts)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        if starts is not None:
            _lay_aside(session, order_no, job_id, reason, starts)
        return starts


def lay_aside(key, job_id, reason):
    """A message that is about no order."""
    with db.begin() as session:
        _lay_aside(session, key, job_id, reason, 1)


def standing_still(since):
    with db.begin() as session:
        return session.execute(
            select(TopUp.order_no, TopUp.starts)
            .where(TopUp.status == "ordered", TopUp.touched_at < since)
            .order_by(TopUp.order_no)
        ).all()


def touch(order_no):
    with db.begin() as session:
        session.execute(
            update(TopUp).where(TopUp.order_no == order_no).values(touched_at=now())
            .execution_options(synchronize_session=False)
        )


def _lay_aside(session, key, job_id, reason, attempts):
    session.execute(
        insert(DeadLetter).values(key=key, job_id=job_id, reason=reason, attempts=attempts).on_conflict_do_nothing()
    )
