import logging
from datetime import timedelta

from django.utils import timezone

from .models import Transmission
from .services import publish

log = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=2)


def requeue_stuck():
    """Publish anew what is queued and overdue: its message was lost."""
    now = timezone.now()
    overdue = Transmission.objects.filter(
        status=Transmission.Status.QUEUED, due_at__lt=now - OVERDUE
    ).order_by("due_at")
    count = 0
    for transmission in overdue:
        mine = Transmission.objects.filter(
            pk=transmission.pk,
            status=Transmission.Status.QUEUED,
            due_at=transmission.due_at,
        ).update(due_at=now)
        if mine:
            log.warning("result %s: overdue, queued again", transmission.result_id)
            publish(transmission.result_id)
            count += 1
    return count
