"""The clerk's side: an instalment is released, and its message goes out through the outbox."""

import logging

from backoffice.domain.model import Claim, ClaimNotPayable, OutboxMessage, Payout, now
from backoffice.entrypoints.actors import pay_instalment
from backoffice.service.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)


def release(claim_no: str, instalment: int) -> None:
    uow = UnitOfWork()
    with uow:
        payout = uow.payouts.get(claim_no, instalment)
        if payout is None:
            raise ClaimNotPayable(f"{claim_no}/{instalment}")
        if payout.release():
            uow.outbox.add(OutboxMessage(claim_no, instalment))
        uow.commit()
    publish_pending()


def publish_pending() -> None:
    uow = UnitOfWork()
    with uow:
        pending = [(row.id, row.claim_no, row.instalment) for row in uow.outbox.unpublished()]
    for id, claim_no, instalment in pending:
        fields = {"claim_no": claim_no, "instalment": instalment}
        try:
            pay_instalment.send(**fields)
        except Exception:
            log.exception("payout not published, the relay will", extra=fields)
            continue
        with uow:
            uow.outbox.get(id).published_at = now()
            uow.commit()


def seed_demo() -> None:
    uow = UnitOfWork()
    with uow:
        if uow.claims.get("C-1001") is None:
            uow.claims.add(Claim("C-1001", "HH-77", "Ada Berg", "DE02120300000000202051"))
            uow.claims.add(Claim("C-1002", "CAR-12", "Tom Roth", "DE02500105170137075030"))
            uow.session.flush()
            for claim_no, instalment, cents in [("C-1001", 1, 125000), ("C-1001", 2, 40000), ("C-1002", 1, 98050)]:
                uow.payouts.add(Payout(claim_no, instalment, cents))
        uow.commit()
