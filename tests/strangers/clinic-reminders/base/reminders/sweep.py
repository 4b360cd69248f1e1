"""Queues again what nobody works on: never queued, or queued a while ago and still pending."""
import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from .booking import queue
from .models import Reminder

log = logging.getLogger(__name__)
PATIENCE = timedelta(minutes=10)


def requeue():
    now = timezone.now()
    lost = Reminder.objects.filter(
        Q(queued_at=None) | Q(queued_at__lt=now - PATIENCE),
        Q(claimed_until=None) | Q(claimed_until__lt=now),
        status=Reminder.Status.PENDING,
    )
    for reminder in lost:
        log.info("appointment %s, %s: queued again", reminder.appointment_id, reminder.kind)
        queue(reminder)
