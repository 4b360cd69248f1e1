"""Pay periods: calendar months, one open at a time."""
from calendar import monthrange
from datetime import date, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from . import clock
from .models import DeadLetter, PayslipLine, Period, Posting, Session
from .payouts import record


def close_ended(today: date) -> int:
    closed = 0
    while close_one(today):
        closed += 1
    with Session.begin() as db:
        forget(db)
    return closed


def close_one(today: date) -> bool:
    """Closes the oldest open period that has ended, all of it or nothing."""
    oldest = (
        select(Period.id)
        .where(Period.status == "open", Period.ends_on < today)
        .order_by(Period.starts_on)
        .limit(1)
        .scalar_subquery()
    )
    with Session.begin() as db:
        period = db.execute(
            update(Period)
            .where(Period.id == oldest)
            .values(status="closed")
            .returning(Period.id, Period.ends_on)
            .execution_options(synchronize_session=False)
        ).first()
        if period is None:
            return False
        db.execute(
            update(Posting)
            .where(Posting.period_id.is_(None), Posting.booked_on <= period.ends_on)
            .values(period_id=period.id)
            .execution_options(synchronize_session=False)
        )
        db.execute(
            insert(PayslipLine).from_select(
                ["period_id", "employee_id", "expenses_cents"],
                select(Posting.period_id, Posting.employee_id, func.sum(Posting.amount_cents))
                .where(Posting.period_id == period.id)
                .group_by(Posting.period_id, Posting.employee_id),
            )
        )
        starts_on = period.ends_on + timedelta(days=1)
        db.execute(
            sqlite_insert(Period)
            .values(starts_on=starts_on, ends_on=month_end(starts_on), status="open")
            .on_conflict_do_nothing(index_elements=["starts_on"])
        )
    return True


def bury(message: dict, today: date, reason: str) -> bool:
    """One dead letter, unless another delivery has closed meanwhile all there was."""
    key = "bad message" if message else "-"
    with Session.begin() as db:
        record(db, "close-period", key, message, reason)
        ended = select(Period.id).where(Period.status == "open", Period.ends_on < today).limit(1)
        if not message and db.scalar(ended) is None:
            forget(db)
            return False
    return True


def forget(db) -> None:
    db.execute(delete(DeadLetter).where(DeadLetter.job == "close-period", DeadLetter.key == "-"))


def month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def demo_period() -> Period:
    last = clock.today().replace(day=1) - timedelta(days=1)
    return Period(starts_on=last.replace(day=1), ends_on=last)
