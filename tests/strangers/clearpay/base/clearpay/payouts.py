"""What happens to one payout in the database."""
from sqlalchemy import String, cast, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from . import clock
from .models import Claim, DeadLetter, Payout, Posting, Session
from .settings import settings


class UnknownPayout(Exception):
    pass


class TooManyStarts(Exception):
    pass


def begin(claim_id: int) -> Payout | None:
    """Counts a start; None if there is nothing left to do."""
    with Session.begin() as db:
        db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "pending")
            .values(starts=Payout.starts + 1, moved_at=clock.now())
        )
        payout = db.get(Payout, claim_id)
    if payout is None:
        raise UnknownPayout(f"claim {claim_id} has no payout")
    if payout.status != "pending":
        return None
    if payout.starts > settings.max_starts:
        raise TooManyStarts(f"{settings.max_starts} starts came to no end")
    return payout


def settle(claim_id: int, bank_ref: str) -> bool:
    """The bank has paid: that holds whatever another delivery made of it meanwhile."""
    with Session.begin() as db:
        changed = db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status != "paid")
            .values(status="paid", bank_ref=bank_ref)
        ).rowcount
        if not changed:
            return False
        payout, claim = db.get(Payout, claim_id), db.get(Claim, claim_id)
        claim.status = "paid"
        db.add(
            Posting(
                claim_id=claim_id,
                employee_id=claim.employee_id,
                amount_cents=payout.amount_cents,
                booked_on=clock.today(),
            )
        )
        db.execute(delete(DeadLetter).where(DeadLetter.job == "pay-claim", DeadLetter.key == str(claim_id)))
    return True


def bury(key: str, message: dict, reason: str) -> bool:
    """One dead letter, unless another delivery has paid meanwhile. The key of a
    message that could not be read is no claim's."""
    with Session.begin() as db:
        db.execute(
            update(Payout)
            .where(cast(Payout.claim_id, String) == key, Payout.status == "pending")
            .values(status="failed")
        )
        if db.scalar(select(Payout.status).where(cast(Payout.claim_id, String) == key)) == "paid":
            return False
        record(db, "pay-claim", key, message, reason)
    return True


def record(db, job: str, key: str, message: dict, reason: str) -> None:
    db.execute(
        insert(DeadLetter)
        .values(job=job, key=key, message=message, reason=reason, at=clock.now())
        .on_conflict_do_nothing()
    )
