import structlog
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from . import clock
from .app import app
from .models import Claim, DeadLetter, Employee, Payout, Session
from .settings import settings
from .tasks import pay_claim

logger = structlog.get_logger()


class UnknownClaim(Exception):
    pass


def approve(claim_id: int) -> None:
    with Session.begin() as db:
        approved = db.execute(
            update(Claim).where(Claim.id == claim_id, Claim.status == "submitted").values(status="approved")
        ).rowcount
        claim = db.get(Claim, claim_id)
        if claim is None:
            raise UnknownClaim(claim_id)
        if approved:
            db.execute(
                insert(Payout).values(
                    claim_id=claim_id,
                    reference=f"CP-{claim_id}",
                    iban=db.get(Employee, claim.employee_id).iban,
                    amount_cents=claim.amount_cents,
                    status="pending",
                    starts=0,
                )
            )
    publish_soon()


def revive(claim_id: int) -> None:
    """Payroll has mended what a payout failed of."""
    with Session.begin() as db:
        db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "failed")
            .values(status="pending", starts=0, moved_at=None)
        )
        db.execute(delete(DeadLetter).where(DeadLetter.job == "pay-claim", DeadLetter.key == str(claim_id)))
    publish_soon()


def publish_due() -> int:
    """Publishes payouts that were not published yet or have not moved for long."""
    stale = clock.now() - settings.stale_after
    with Session() as db:
        due = db.scalars(
            select(Payout.claim_id)
            .where(Payout.status == "pending", or_(Payout.moved_at.is_(None), Payout.moved_at < stale))
            .order_by(Payout.claim_id)
        ).all()
    for claim_id in due:
        pay_claim.apply_async(kwargs={"claim_id": claim_id})
        with Session.begin() as db:
            db.execute(update(Payout).where(Payout.claim_id == claim_id).values(moved_at=clock.now()))
    return len(due)


def publish_soon() -> None:
    try:
        publish_due()
    except BrokerAway as exc:
        logger.warning("not published yet, left to the sweep", reason=type(exc).__name__)


@app.task(name="clearpay.sweep")
def sweep():
    published = publish_due()
    if published:
        logger.info("sweep", published=published)
