import logging

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from billing import partner
from billing.models import Invoice
from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids

log = logging.getLogger("school.billing")


@shared_task(
    bind=True,
    base=RecordedTask,
    name="billing.export_invoice",
    max_retries=4,
    acks_late=True,
    reject_on_worker_lost=True,
)
def export_invoice(self, invoice_id):
    """Book an issued invoice with the accounts office of the town."""
    check_ids(invoice_id=invoice_id)
    log.info("export_invoice invoice=%s attempt=%s", invoice_id, self.request.retries + 1)
    try:
        invoice = Invoice.objects.select_related("pupil").get(pk=invoice_id)
        if invoice.exported_at is not None:
            log.info("invoice=%s is booked already as %s", invoice_id, invoice.partner_reference)
            return
        reference = partner.submit_invoice(
            {"Debtor": invoice.pupil.name, "Term": invoice.term, "Cents": invoice.cents},
            message_id=f"school-invoice-{invoice.pk}",
        )
        # Only our own columns, and only once: the office may be editing the row.
        Invoice.objects.filter(pk=invoice_id, exported_at=None).update(
            exported_at=timezone.now(), partner_reference=reference
        )
    except Invoice.DoesNotExist:
        raise InvalidJob(f"no invoice {invoice_id}") from None
    except (partner.PartnerUnavailable, OperationalError) as exc:
        log.warning("invoice=%s not exported yet: %s", invoice_id, exc)
        raise self.retry(exc=exc, countdown=backoff(self.request.retries))
    log.info("invoice=%s booked as %s", invoice_id, reference)
