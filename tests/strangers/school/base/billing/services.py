from django.db import transaction
from django.utils import timezone

from billing.models import Invoice


def issue_invoice(invoice_id):
    """The office clicks 'issue'."""
    with transaction.atomic():
        Invoice.objects.filter(pk=invoice_id, issued_at=None).update(issued_at=timezone.now())
        transaction.on_commit(lambda: publish(invoice_id))


def publish(invoice_id):
    from billing.tasks import export_invoice

    export_invoice.delay(invoice_id=invoice_id)
    Invoice.objects.filter(pk=invoice_id).update(queued_at=timezone.now())


def publish_pending():
    pending = list(
        Invoice.objects.filter(issued_at__isnull=False, queued_at=None, exported_at=None).values_list("pk", flat=True)
    )
    for invoice_id in pending:
        publish(invoice_id)
    return len(pending)
