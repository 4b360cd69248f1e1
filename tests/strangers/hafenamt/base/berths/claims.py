"""Who bills which stay. Every function is one transaction.

`not_before` is the end of the lease while a run holds the stay, and the end of the wait after a failure.
"""

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .models import ParkedBill, Stay

MAX_ATTEMPTS = 5
LEASE = timedelta(minutes=10)
FIRST_WAIT = timedelta(minutes=14)
FACTOR = 3


def due_ids(limit=200):
    return list(_free().order_by("not_before", "pk").values_list("pk", flat=True)[:limit])


def claim(stay_id):
    """The stay, if it is ours now; None if it is somebody else's, or not to be billed any more."""
    token = uuid.uuid4().hex
    taken = (
        _free()
        .filter(pk=stay_id, attempts__lt=MAX_ATTEMPTS)
        .update(attempts=F("attempts") + 1, holder=token, not_before=timezone.now() + LEASE)
    )
    return Stay.objects.filter(pk=stay_id, holder=token).first() if taken else None


def extend(stay):
    return bool(_held(stay).update(not_before=timezone.now() + LEASE))


def mark_filed(stay):
    return bool(Stay.objects.filter(pk=stay.pk, filed_at=None).update(filed_at=timezone.now()))


def mark_billed(stay):
    """Both papers are out. That holds even if another run has parked the stay meanwhile."""
    with transaction.atomic():
        changed = Stay.objects.filter(pk=stay.pk).exclude(status=Stay.Status.BILLED).update(
            status=Stay.Status.BILLED, mailed_at=timezone.now(), holder=""
        )
        ParkedBill.objects.filter(stay_id=stay.pk).delete()
    return bool(changed)


def postpone(stay):
    wait = FIRST_WAIT * FACTOR ** (stay.attempts - 1)
    return bool(_held(stay).update(holder="", not_before=timezone.now() + wait))


def park(stay, reason):
    return _park(_held(stay), stay.pk, reason, stay.attempts)


def park_exhausted(stay_id):
    """The run of the last attempt has died: its lease is over and there will be no other."""
    exhausted = _free().filter(pk=stay_id, attempts__gte=MAX_ATTEMPTS)
    return _park(exhausted, stay_id, "the last attempt did not end", MAX_ATTEMPTS)


def unpark(stay_id):
    with transaction.atomic():
        changed = Stay.objects.filter(pk=stay_id, status=Stay.Status.PARKED).update(
            status=Stay.Status.DEPARTED, attempts=0, not_before=timezone.now()
        )
        ParkedBill.objects.filter(stay_id=stay_id).delete()
    return bool(changed)


def _free():
    return Stay.objects.filter(status=Stay.Status.DEPARTED, not_before__lte=timezone.now())


def _held(stay):
    return Stay.objects.filter(pk=stay.pk, status=Stay.Status.DEPARTED, holder=stay.holder)


def _park(stays, stay_id, reason, attempts):
    with transaction.atomic():
        if not stays.update(status=Stay.Status.PARKED, holder=""):
            return False
        ParkedBill.objects.create(stay_id=stay_id, reason=reason[:120], attempts=attempts)
    return True
