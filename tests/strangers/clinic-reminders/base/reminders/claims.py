"""Who works on a reminder. Every change is one conditional UPDATE; its count says whether we have it (still)."""
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from .models import Reminder


class Busy(Exception):
    """Another task has the reminder and its lease has not run out."""


def claim(reminder, token):
    now = timezone.now()
    free = Q(claim_token="") | Q(claim_token=token) | Q(claimed_until__lt=now)
    got = Reminder.objects.filter(free, pk=reminder.pk, status=Reminder.Status.PENDING).update(
        claim_token=token, claimed_until=now + timedelta(seconds=settings.REMINDER_LEASE_SECONDS)
    )
    reminder.refresh_from_db()
    return bool(got)


def release(reminder, token):
    Reminder.objects.filter(pk=reminder.pk, claim_token=token).update(claim_token="", claimed_until=None)


def finish(reminder):
    """Both messages are out, whoever sent them."""
    Reminder.objects.filter(pk=reminder.pk).update(status=Reminder.Status.DONE, claim_token="", claimed_until=None)


def fail(reminder, token):
    return Reminder.objects.filter(pk=reminder.pk, status=Reminder.Status.PENDING, claim_token=token).update(
        status=Reminder.Status.FAILED, claim_token="", claimed_until=None
    )
