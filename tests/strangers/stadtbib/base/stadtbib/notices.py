"""The rows behind a notice. Each function is one short transaction that begins
with its write: SQLite lets nobody upgrade a reading transaction in peace."""
import hashlib
import json

from sqlalchemy import update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import joinedload

from .db import DeadLetter, Loan, Notice, Session


class NoSuchLoan(Exception):
    pass


def loan(loan_id):
    with Session() as s:
        found = s.get(Loan, loan_id, options=[joinedload(Loan.patron)])
    if found is None:
        raise NoSuchLoan(f"there is no loan {loan_id}")
    return found


def find(loan_id, level):
    with Session() as s:
        return s.get(Notice, (loan_id, level))


def begin(loan_id, level):
    """Count one more attempt at a notice that is still pending; returns the notice."""
    with Session.begin() as s:
        s.execute(
            insert(Notice)
            .values(loan_id=loan_id, level=level, status="pending", attempts=0)
            .on_conflict_do_nothing()
        )
        s.execute(_pending(loan_id, level).values(attempts=Notice.attempts + 1))
        return s.get(Notice, (loan_id, level))


def fee_booked(loan_id, level, receipt):
    with Session.begin() as s:
        s.execute(
            update(Notice).where(Notice.loan_id == loan_id, Notice.level == level).values(fee_ref=receipt)
        )


def settle(loan_id, level, status):
    with Session.begin() as s:
        s.execute(_pending(loan_id, level).values(status=status))


def bury(job, message, reason, notice=None):
    """Record that a job was given up; once per message, however often it comes."""
    text = json.dumps(message, sort_keys=True, default=repr)
    with Session.begin() as s:
        s.execute(
            insert(DeadLetter)
            .values(
                fingerprint=hashlib.sha256(f"{job} {text}".encode()).hexdigest(),
                job=job, message=text, reason=reason,
            )
            .on_conflict_do_nothing()
        )
        if notice:
            s.execute(_pending(*notice).values(status="dead"))


def _pending(loan_id, level):
    return update(Notice).where(
        Notice.loan_id == loan_id, Notice.level == level, Notice.status == "pending"
    )
