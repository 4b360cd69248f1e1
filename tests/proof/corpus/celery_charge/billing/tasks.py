"""The background job: charge an invoice and book the payment."""

import random
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

from billing import provider, store

logger = get_task_logger(__name__)


class NoSuchInvoice(LookupError):
    """Nobody has written it."""


def is_transient(error: Exception) -> bool:
    """Whether another attempt may help."""
    if isinstance(error, provider.ProviderError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, (ConnectionError, SoftTimeLimitExceeded))


class KeptTask(Task):
    """Keeps what was given up."""

    def on_failure(self, exc: Exception, task_id: str, args: list, kwargs: dict[str, Any], einfo: Any) -> None:
        logger.error("charge_invoice gave up invoice=%s error=%r", kwargs.get("invoice_id"), exc)
        store.give_up(kwargs.get("invoice_id"), repr(exc))


@shared_task(bind=True, base=KeptTask, name="billing.charge_invoice", max_retries=4)
def charge_invoice(self: Any, invoice_id: str) -> str:
    """Charges and books an invoice, each once; what failed for good has status `failed`."""
    logger.info("charge_invoice begins invoice=%s attempt=%d", invoice_id, self.request.retries + 1)
    try:
        changed = advance(invoice_id)
    except Exception as error:
        if is_transient(error) and self.request.retries < self.max_retries:
            wait = min(300, 5 * 3**self.request.retries)
            logger.warning("charge_invoice tries again invoice=%s error=%r", invoice_id, error)
            raise self.retry(exc=error, countdown=random.randint(wait // 2, wait))
        raise
    if not changed:
        logger.info("charge_invoice had nothing to do invoice=%s", invoice_id)
        return "unchanged"
    logger.info("charge_invoice is done invoice=%s", invoice_id)
    return "booked"


def advance(invoice_id: str) -> bool:
    """Each step as far as it is not taken; False where all were."""
    row = store.load(invoice_id)
    if row is None:
        raise NoSuchInvoice(invoice_id)
    customer, cents, status, payment = row
    if status not in ("open", "charged"):
        return False
    if status == "open":
        payment = provider.charge(customer, cents, key=f"charge:{invoice_id}")
        store.move(invoice_id, "open", "charged", payment=payment)
    provider.book(payment, cents, key=f"book:{invoice_id}")
    store.move(invoice_id, "charged", "booked")
    return True
