from django.db import transaction
from django_q.tasks import async_task

from . import inbox


def request_invoice(member_id, season):
    """Note the wish and queue the job. The queue is a table of the same database: one transaction."""
    with transaction.atomic():
        row, created = inbox.open_row(member_id, season)
        if created:
            publish(member_id, season)
    return row.key


def publish(member_id, season):
    async_task(
        "invoices.tasks.issue_invoice", {"member_id": member_id, "season": season}, group=f"invoice:{season}"
    )
