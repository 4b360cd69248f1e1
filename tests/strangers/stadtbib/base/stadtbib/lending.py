"""What the desk does: lend, take back, remind."""
import datetime as dt

from redis import Redis
from rq import Callback, Queue, Retry
from sqlalchemy import delete, or_, select, update

from . import settings
from .db import DeadLetter, Loan, Notice, Session
from .tasks import overdue_notice, rq_gave_up


class NotOverdue(Exception):
    pass


def queue():
    return Queue("notices", connection=Redis.from_url(settings.REDIS_URL))


def send_notice(loan_id, level):
    """Ask for one notice. Asking again does no harm."""
    with Session.begin() as s:
        asked = s.execute(
            update(Loan)
            .where(Loan.id == loan_id, Loan.returned_on.is_(None), Loan.reminded <= level)
            .values(reminded=level)
        )
    if not asked.rowcount:
        raise NotOverdue(f"loan {loan_id} needs no notice {level}")
    publish(loan_id, level)


def publish(loan_id, level):
    return queue().enqueue(
        overdue_notice,
        {"loan_id": loan_id, "level": level},
        retry=Retry(max=len(settings.WAITS), interval=settings.WAITS),
        on_failure=Callback(rq_gave_up),
        job_timeout=120,
    )


def requeue_open():
    """Bring back what was asked for and never settled: the web went down between
    its commit and Redis, or Redis lost its memory."""
    with Session() as s:
        rows = s.execute(
            select(Loan.id, Loan.reminded)
            .outerjoin(Notice, (Notice.loan_id == Loan.id) & (Notice.level == Loan.reminded))
            .where(Loan.reminded > 0, Loan.returned_on.is_(None))
            .where(or_(Notice.status.is_(None), Notice.status == "pending"))
        ).all()
    for loan_id, level in rows:
        publish(loan_id, level)
    return len(rows)


def new_notices(today):
    """The next notice of each loan: after 7, 21 and 35 days."""
    with Session() as s:
        loans = s.scalars(select(Loan).where(Loan.returned_on.is_(None), Loan.reminded < 3)).all()
    for loan in loans:
        if today - loan.due_on >= dt.timedelta(days=7 + 14 * loan.reminded):
            send_notice(loan.id, loan.reminded + 1)


def take_back(loan_id, today):
    with Session.begin() as s:
        s.execute(update(Loan).where(Loan.id == loan_id).values(returned_on=today))


def revive(loan_id, level):
    """Somebody has mended what a notice died of."""
    with Session.begin() as s:
        s.execute(
            update(Notice)
            .where(Notice.loan_id == loan_id, Notice.level == level, Notice.status == "dead")
            .values(status="pending", attempts=0)
        )
        s.execute(delete(DeadLetter).where(DeadLetter.message == f'{{"level": {level}, "loan_id": {loan_id}}}'))
    publish(loan_id, level)
