import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from overdue.models import Letter
from overdue.tasks import send_letter

log = logging.getLogger("overdue.sweep")
STILL_FOR = timedelta(minutes=20)


def sweep_letters():
    """Queue again what stands still: its worker has died, or its message is lost."""
    still = Letter.objects.filter(status=Letter.Status.QUEUED, stirred_at__lt=timezone.now() - STILL_FOR)
    queued = 0
    for letter_id in still.order_by("pk").values_list("pk", flat=True):
        queued += _queue_again(letter_id)
    log.info("job=sweep-letters queued=%s", queued)
    return queued


def _queue_again(letter_id):
    with transaction.atomic():
        waiting = DBTaskResult.objects.filter(
            status="READY", task_path=send_letter.module_path, args_kwargs__kwargs__letter_id=letter_id
        )
        if waiting.exists():
            return False
        now = timezone.now()
        still = Letter.objects.filter(pk=letter_id, status=Letter.Status.QUEUED, stirred_at__lt=now - STILL_FOR)
        if not still.update(stirred_at=now):
            return False
        send_letter.enqueue(letter_id=letter_id)
    return True
