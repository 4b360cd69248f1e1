import logging

from backoffice.adapters.bank import BankApi, BankRejected
from backoffice.domain.commands import PayInstalment
from backoffice.domain.model import APPROVED, PAID, REJECTED, ClaimNotPayable
from backoffice.service.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)


def pay_instalment(command: PayInstalment, uow: UnitOfWork, bank: BankApi) -> None:
    """Pay one instalment of an approved claim, once."""
    fields = command.log_fields()

    with uow:
        claim = uow.claims.get(command.claim_no)
        payout = uow.payouts.get(command.claim_no, command.instalment)
        if claim is None or payout is None or claim.status != APPROVED:
            raise ClaimNotPayable(f"{command.claim_no}/{command.instalment}")
        if payout.status == PAID:
            log.info("payout was made before", extra=fields)
            return
        if payout.status == REJECTED:
            raise BankRejected(payout.reject_code)
        order = {
            "iban": claim.iban,
            "holder": claim.holder,
            "amount_cents": payout.amount_cents,
            "reference": f"Claim {claim.claim_no}, instalment {payout.instalment}",
            "idempotency_key": payout.bank_key,
        }

    try:
        receipt = bank.transfer(**order)
    except BankRejected as error:
        log.error("bank rejected payout", extra={**fields, "code": error.code})
        with uow:
            payout = uow.payouts.get(command.claim_no, command.instalment)
            if payout.status == APPROVED:
                payout.reject(error.code)
            uow.commit()
        raise

    with uow:
        payout = uow.payouts.get(command.claim_no, command.instalment)
        if payout.status != PAID:
            payout.mark_paid(receipt["payment_id"])
            uow.ledger.book_payout(payout)
        uow.commit()
    log.info("payout made", extra={**fields, "payment_id": receipt["payment_id"]})
