"""Order the transfer of one payout."""
import re

import httpx
import structlog
from celery.utils.time import get_exponential_backoff_interval
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from parcelbank import bank
from parcelbank.app import app
from parcelbank.jobs.base import HouseTask
from parcelbank.models import PAID, PARKED, REFUSED, Payout
from parcelbank.uow import UnitOfWork

log = structlog.get_logger(__name__)

REF = re.compile(r"PO-[0-9]{4}-[0-9]{4}")
LONGEST_WAIT = 240


class MalformedMessage(Exception):
    """Not a message of ours."""


class PayoutRefused(Exception):
    """The bank's answer to the order is no. (Celery hands hooks a copy of httpx's own error without its status.)"""


class SendPayout(HouseTask):
    name = "parcelbank.send_payout"

    def run(self, payout_ref):
        if not isinstance(payout_ref, str) or not REF.fullmatch(payout_ref):
            raise MalformedMessage(f"payout_ref is {payout_ref!r}")
        try:
            payout = self.claim(payout_ref)
            if payout is None:
                return "nothing to do"
            bank_ref = bank.client().create_transfer(
                reference=payout.ref,
                iban=payout.iban,
                amount_minor=payout.amount_minor,
                currency=payout.currency,
                idempotency_key=payout.idempotency_key,
            )
            self.settle(payout_ref, bank_ref)
            return "paid"
        except httpx.HTTPError as exc:
            if isinstance(exc, httpx.HTTPStatusError) and not bank.is_transient(exc):
                raise PayoutRefused(f"HTTP {exc.response.status_code}: {exc.response.text[:200]}") from exc
            if not bank.is_transient(exc):
                raise
            raise self.retry(exc=exc, countdown=self.wait(bank.retry_after(exc)))
        except (OperationalError, StaleDataError) as exc:
            raise self.retry(exc=exc, countdown=self.wait())

    def wait(self, asked: int | None = None) -> int:
        if asked is not None:
            return min(asked, LONGEST_WAIT)
        return get_exponential_backoff_interval(15, self.request.retries, LONGEST_WAIT, full_jitter=True)

    def claim(self, ref: str) -> Payout | None:
        """Counts the attempt and commits that before anything leaves the house."""
        with UnitOfWork() as uow:
            payout = uow.payouts.get(ref)
            if payout.is_final:
                return None
            payout.begin_attempt()
            uow.commit()
            return payout

    def settle(self, ref: str, bank_ref: str) -> None:
        with UnitOfWork() as uow:
            payout = uow.payouts.get(ref)
            if payout.status == PAID:
                return
            if payout.is_final:
                log.warning("payout.paid_after_all", was=payout.status)
            payout.mark_paid(bank_ref)
            uow.commit()

    def close_books(self, uow, exc, kwargs):
        ref = kwargs.get("payout_ref")
        payout = uow.payouts.find(ref) if isinstance(ref, str) else None
        if payout is None or set(kwargs) != {"payout_ref"}:
            return True  # not a message of ours, the payout itself has nothing to do with it
        if payout.is_final:
            return False
        payout.give_up(REFUSED if isinstance(exc, PayoutRefused) else PARKED, repr(exc))
        return True


send_payout = app.register_task(SendPayout())
