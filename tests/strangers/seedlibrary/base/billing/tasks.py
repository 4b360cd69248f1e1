import logging
import re
from datetime import timedelta

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from billing import invoicing, mail

logger = logging.getLogger(__name__)

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")

LONGEST_CHAIN = 20


class MalformedMessage(Exception):
    pass


def parse(message: dict) -> tuple[int, str]:
    if set(message) != {"member_id", "month"}:
        raise MalformedMessage(f"fields are {sorted(message)}")
    member_id, month = message["member_id"], message["month"]
    if type(member_id) is not int or member_id < 1:
        raise MalformedMessage(f"member_id is {member_id!r}")
    if not isinstance(month, str) or not MONTH.fullmatch(month):
        raise MalformedMessage(f"month is {month!r}")
    return member_id, month


def pause(attempt: int) -> int:
    """1, 3, 9 and 27 minutes."""
    return 60 * 3 ** (attempt - 1)


# Attempts are counted in the invoice's row; waiting for somebody's lease is not an attempt.
@shared_task(bind=True, name="billing.tasks.mail_invoice", max_retries=None)
def mail_invoice(self, *args, **message):
    if args:
        message["args"] = list(args)
    about = {"job": "mail_invoice", "task_id": self.request.id, "job_message": message}
    logger.info("mail_invoice %s started", message, extra=about)
    key = invoice = None
    try:
        key = parse(message)
        invoice = invoicing.claim(*key)
        if invoice is None:
            logger.info("mail_invoice %s succeeded: nothing left to do", message, extra=about)
            return
        mail.send_invoice(
            number=invoice.number,
            to=invoice.member.email,
            name=invoice.member.name,
            lines=[f"{c.label}: {c.cents / 100:.2f}" for c in invoice.member.charges.filter(month=invoice.month)],
            total_cents=invoice.total_cents,
        )
        invoicing.mark_sent(invoice)
    except (invoicing.Busy, OperationalError) as exc:
        if self.request.retries >= LONGEST_CHAIN:
            logger.error("mail_invoice %s failed, left to the sweep: %r", message, exc, extra=about)
            raise
        wait = exc.seconds if isinstance(exc, invoicing.Busy) else 60
        logger.warning("mail_invoice %s will be retried in %ss: %r", message, wait, exc, extra=about)
        raise self.retry(exc=exc, countdown=wait)
    except Exception as exc:
        if invoice is not None and mail.is_transient(exc) and invoice.attempts < invoicing.MAX_ATTEMPTS:
            wait = pause(invoice.attempts)
            logger.warning("mail_invoice %s will be retried in %ss: %r", message, wait, exc, extra=about)
            invoicing.give_back(invoice, repr(exc))
            raise self.retry(exc=exc, countdown=wait)
        logger.error("mail_invoice %s failed for good: %r", message, exc, extra=about)
        invoicing.bury(self.name, self.request.id, message, repr(exc), self.request.retries + 1, key)
        raise
    logger.info("mail_invoice %s succeeded: %s mailed", message, invoice.number, extra=about)


@shared_task
def close_last_month():
    first = timezone.localdate().replace(day=1)
    month = (first - timedelta(days=1)).strftime("%Y-%m")
    logger.info("closing %s: %d invoices", month, invoicing.close_month(month), extra={"job": "close_last_month"})


@shared_task
def publish_unsent():
    invoicing.publish_unsent()


@shared_task
def requeue_stalled():
    invoicing.requeue_stalled()
