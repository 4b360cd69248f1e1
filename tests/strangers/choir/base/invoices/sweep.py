"""Scheduled every ten minutes (see ensure_schedules)."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .joblog import say
from .models import Inbox
from .requests import publish


def requeue_stuck():
    """Queue again what is open and has not moved for a while: its message got lost."""
    before = timezone.now() - timedelta(minutes=settings.INVOICE_STUCK_MINUTES)
    stuck = Inbox.objects.filter(status=Inbox.Status.OPEN, touched_at__lte=before)
    for row in list(stuck.order_by("touched_at")[:200]):
        with transaction.atomic():
            mine = Inbox.objects.filter(
                key=row.key, status=Inbox.Status.OPEN, touched_at=row.touched_at
            ).update(touched_at=timezone.now())
            if mine:
                publish(row.member_id, row.season)
        if mine:
            say("requeued", row.key)
