import time

from ridepool import office, settings
from ridepool.app import app
from ridepool.base import PayoutTask, payout_id_of
from ridepool.paywire import Paywire
from ridepool.uow import Payout, UnitOfWork


class BadMessage(Exception):
    pass


class UnknownPayout(Exception):
    pass


class NotApproved(Exception):
    pass


class TooManyStarts(Exception):
    pass


class KeyTooOld(Exception):
    """Paywire may have forgotten the key. From here on, the same key could be a second payout."""


@app.task(base=PayoutTask, bind=True, name="ridepool.pay_driver")
def pay_driver(self, payout_id):
    """Send an approved payout through Paywire and post it to the driver's statement."""
    message = {"payout_id": payout_id}
    if payout_id_of(message) is None:
        raise BadMessage("payout_id has to be a positive integer")
    log = self.log(message)
    payout = start(payout_id)
    if payout.status != "approved":
        log.info("nothing_to_do", outcome=payout.status)
        return
    log.info("payout_started", outcome="started", start=payout.starts)
    with Paywire() as paywire:
        ref = paywire.pay(account=payout.account, cents=payout.cents, idempotency_key=payout.key)
    first = post(payout, ref)
    log.info("payout_paid", outcome="paid" if first else "known", paywire_ref=ref)


def start(payout_id: int) -> Payout:
    with UnitOfWork() as uow:
        payout = uow.payouts.get(payout_id)
        if payout is None:
            raise UnknownPayout(f"no payout {payout_id}")
        if payout.status == "draft":
            raise NotApproved(f"payout {payout_id} is a draft")
        if payout.status != "approved":
            return payout
        if payout.first_try_at is not None and time.time() - payout.first_try_at > settings.KEY_USABLE_FOR:
            raise KeyTooOld("first tried more than six days ago")
        if payout.starts >= settings.MAX_STARTS:
            raise TooManyStarts(f"{payout.starts} starts and no end")
        return uow.payouts.started(payout_id)


def post(payout: Payout, ref: str) -> bool:
    """Whoever marks the payout posts the line, in the same transaction."""
    with UnitOfWork() as uow:
        if not uow.payouts.paid(payout.id, ref):
            return False
        uow.statements.post(payout, f"Payout {payout.id}")
        uow.letters.withdraw(payout.key)
    return True


@app.task(name="ridepool.sweep_payouts", ignore_result=True)
def sweep_payouts():
    office.sweep()
