"""Invoices: what makes them, who may mail them, and what became of them."""
import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from billing.models import Charge, DeadJob, Invoice, Member

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
LEASE = timedelta(minutes=3)  # EMAIL_TIMEOUT is half a minute
STALLED_AFTER = timedelta(minutes=50)  # the longest wait between two attempts is 27 minutes
UNFINISHED = (Invoice.OPEN, Invoice.SENDING)


class NothingToBill(Exception):
    """No such member, or no charges in that month."""


class GaveUp(Exception):
    """All attempts are used up and none of them came back."""


class Busy(Exception):
    """Somebody else has the invoice in hand, or died with it in hand."""

    def __init__(self, seconds: int = int(LEASE.total_seconds())):
        super().__init__(seconds)
        self.seconds = seconds


def draw_up(member_id: int, month: str) -> Invoice:
    """The invoice of that member and month; there is only ever one."""
    charges = Charge.objects.filter(member_id=member_id, month=month)
    total = charges.aggregate(total=Sum("cents"))["total"]
    if not total:
        raise NothingToBill(f"member {member_id}, {month}")
    invoice, _ = Invoice.objects.get_or_create(
        member_id=member_id,
        month=month,
        defaults={"number": f"SL-{month}-{member_id:04d}", "total_cents": total},
    )
    return invoice


def claim(member_id: int, month: str) -> Invoice | None:
    """Takes the invoice for one attempt. None: it is settled. The version lets one of two rivals through."""
    invoice = draw_up(member_id, month)
    if invoice.status not in UNFINISHED:
        return None
    now = timezone.now()
    if invoice.leased_until and invoice.leased_until > now:
        raise Busy(int((invoice.leased_until - now).total_seconds()) + 1)
    if invoice.attempts >= MAX_ATTEMPTS:
        raise GaveUp(f"{invoice.number}: no result after {invoice.attempts} attempts")
    taken = Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(
        status=Invoice.SENDING,
        attempts=F("attempts") + 1,
        version=F("version") + 1,
        leased_until=now + LEASE,
        touched_at=now,
    )
    if not taken:
        raise Busy()
    invoice.refresh_from_db()
    return invoice


def give_back(invoice: Invoice, reason: str) -> None:
    Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(
        leased_until=None, version=F("version") + 1, reason=reason[:300], touched_at=timezone.now()
    )


def mark_sent(invoice: Invoice) -> None:
    """Whoever has the invoice by now: the mail is out."""
    Invoice.objects.filter(pk=invoice.pk).exclude(status=Invoice.SENT).update(
        status=Invoice.SENT, leased_until=None, reason="", version=F("version") + 1, touched_at=timezone.now()
    )


def bury(task: str, task_id: str, message: dict, reason: str, attempts: int, key: tuple | None) -> None:
    """A dead letter, and the invoice with it. key is None for a message that is none."""
    with transaction.atomic():
        if key is not None:
            invoice = Invoice.objects.select_for_update().filter(member_id=key[0], month=key[1]).first()
            if invoice is not None:
                if invoice.status not in UNFINISHED:
                    return
                attempts = invoice.attempts
                Invoice.objects.filter(pk=invoice.pk).update(
                    status=Invoice.FAILED, reason=reason[:300], leased_until=None,
                    version=F("version") + 1, touched_at=timezone.now(),
                )
        DeadJob.objects.get_or_create(
            task_id=task_id,
            defaults={"task": task, "message": message, "reason": reason[:300], "attempts": attempts},
        )


# ---- publishing


def issue_invoice(member_id: int, month: str) -> None:
    """One member, one month. Calling it again is harmless."""
    with transaction.atomic():
        invoice = draw_up(member_id, month)
        Invoice.objects.filter(pk=invoice.pk, status=Invoice.OPEN).update(queued_at=None)
        transaction.on_commit(publish_unsent, robust=True)  # if that fails, beat does it a minute later


def close_month(month: str) -> int:
    members = Member.objects.filter(charges__month=month).distinct().values_list("pk", flat=True)
    for member_id in members:
        issue_invoice(member_id, month)
    return len(members)


def publish_unsent() -> int:
    """Whatever has not been queued yet. Queued first, ticked off afterwards."""
    from billing.tasks import mail_invoice

    count = 0
    for invoice in Invoice.objects.filter(status=Invoice.OPEN, queued_at=None).order_by("pk"):
        mail_invoice.delay(member_id=invoice.member_id, month=invoice.month)
        Invoice.objects.filter(pk=invoice.pk).update(queued_at=timezone.now())
        count += 1
    return count


def requeue_stalled() -> int:
    """Queued or in hand, and nothing has happened for longer than any wait: the message is lost."""
    from billing.tasks import mail_invoice

    now = timezone.now()
    stalled = Invoice.objects.filter(
        Q(leased_until=None) | Q(leased_until__lt=now),
        status__in=UNFINISHED,
        touched_at__lte=now - STALLED_AFTER,
    )
    count = 0
    for invoice in stalled:
        logger.warning("invoice %s stood still, queued again", invoice.number, extra={"job": "mail_invoice"})
        mail_invoice.delay(member_id=invoice.member_id, month=invoice.month)
        Invoice.objects.filter(pk=invoice.pk).update(touched_at=now)
        count += 1
    return count
