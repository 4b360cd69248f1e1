"""What happens to a payout. The tasks only decide when."""
import json

from . import outbox, rail
from .logs import job_log
from .models import FAILED, REJECTED, SENDING, SENT
from .orders import InvalidOrder, PayoutOrder, fingerprint, label
from .uow import UnitOfWork

JOB = "send-payout"
FINAL = (SENT, REJECTED, FAILED)


def request_payout(payout_id, account_id, amount_cents, iban):
    """Called by the back office when a payout is approved; calling it again changes nothing."""
    order = PayoutOrder.read(dict(payout_id=payout_id, account_id=account_id, amount_cents=amount_cents, iban=iban))
    with UnitOfWork() as uow:
        if uow.payouts.get(order.payout_id) is None:
            uow.payouts.add(id=order.payout_id, account_id=order.account_id, amount_cents=order.amount_cents, iban=order.iban)
            uow.outbox.add(body=order.model_dump())
        uow.commit()
    outbox.publish_pending()


def begin(order):
    """Notes that the payout is under way. False: there is nothing left to do."""
    with UnitOfWork() as uow:
        payout = uow.payouts.get(order.payout_id)
        if payout is None:  # orders from the batch importer have no row yet
            if uow.accounts.get(order.account_id) is None:
                raise InvalidOrder(f"no account {order.account_id}")
            payout = uow.payouts.add(id=order.payout_id, account_id=order.account_id, amount_cents=order.amount_cents, iban=order.iban)
        if (payout.account_id, payout.amount_cents, payout.iban) != (order.account_id, order.amount_cents, order.iban):
            raise InvalidOrder(f"{order.payout_id} is known with other details")
        if payout.status in FINAL:
            return False
        payout.status = SENDING
        uow.commit()
    return True


def complete(order, rail_reference):
    """Books the debit, once: the payout's status is read and written in the same transaction."""
    with UnitOfWork() as uow:
        payout = uow.payouts.get(order.payout_id)
        if payout.status == SENT:
            return
        payout.status = SENT
        payout.rail_reference = rail_reference
        uow.entries.add(payout_id=payout.id, account_id=payout.account_id, amount_cents=payout.amount_cents)
        account = uow.accounts.get(payout.account_id)
        account.balance_cents -= payout.amount_cents
        uow.commit()


def send(message, attempt):
    order = PayoutOrder.read(message)
    log = job_log(JOB, payout_id=order.payout_id, attempt=attempt)
    if not begin(order):
        log.info("payout is settled already, nothing to do")
        return
    reference = rail.transfer(
        iban=order.iban,
        amount_cents=order.amount_cents,
        reference=order.payout_id,
        idempotency_key=f"payout:{order.payout_id}",
    )
    complete(order, reference)
    log.info("payout sent")


def bury(message, error):
    """The end of a job that did not work out: a dead letter, and the payout's state beside it."""
    invalid = isinstance(error, InvalidOrder)
    key = fingerprint(message) if invalid else label(message)
    with UnitOfWork() as uow:
        uow.dead_letters.add_once(JOB, key, body=json.dumps(message, default=str), error=f"{type(error).__name__}: {error}")
        payout = None if invalid else uow.payouts.get(label(message))
        if payout is not None and payout.status != SENT:
            payout.status = REJECTED if isinstance(error, rail.RailRejected) else FAILED
        uow.commit()
    job_log(JOB, payout_id=label(message), error=repr(error)).error("payout is given up")
