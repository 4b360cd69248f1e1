"""The inbox remembers every invoice by its key: who is at it, how often it was tried, how it ended."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .errors import StillRunning
from .models import DeadJob, Inbox

Status = Inbox.Status


@dataclass(frozen=True)
class Claim:
    key: str
    holder: str
    attempt: int

    @property
    def last(self):
        return self.attempt >= settings.INVOICE_MAX_ATTEMPTS


def key_for(member_id, season):
    return f"invoice:{member_id}:{season}"


def open_row(member_id, season):
    return Inbox.objects.select_for_update().get_or_create(
        key=key_for(member_id, season),
        defaults={"member_id": member_id, "season": season, "touched_at": timezone.now()},
    )


def claim(member_id, season):
    """A Claim, or how the job has ended already ("done", "dead"). An attempt counts from here on, so that
    one which takes its worker down counts as well."""
    with transaction.atomic():
        row, _ = open_row(member_id, season)
        now = timezone.now()
        if row.status != Status.OPEN:
            return row.status
        if row.held_until and row.held_until > now:
            raise StillRunning(row.key)
        if row.attempts >= settings.INVOICE_MAX_ATTEMPTS:
            _kill(row, "the worker died at the last attempt")
            return Status.DEAD
        row.attempts += 1
        row.holder = uuid4().hex
        row.held_until = now + timedelta(seconds=settings.INVOICE_LEASE_SECONDS)
        row.touched_at = now
        row.save()
        return Claim(row.key, row.holder, row.attempts)


def let_go(claim):
    Inbox.objects.filter(key=claim.key, holder=claim.holder, status=Status.OPEN).update(
        held_until=None, touched_at=timezone.now()
    )


def close(key):
    Inbox.objects.filter(key=key, status=Status.OPEN).update(
        status=Status.DONE, held_until=None, touched_at=timezone.now()
    )


def bury(claim, reason):
    """False if somebody else holds the job by now, or has ended it."""
    with transaction.atomic():
        row = Inbox.objects.select_for_update().get(key=claim.key)
        if row.holder != claim.holder or row.status != Status.OPEN:
            return False
        _kill(row, reason)
        return True


def _kill(row, reason):
    row.status = Status.DEAD
    row.held_until = None
    row.touched_at = timezone.now()
    row.save()
    record_death(row.key, {"member_id": row.member_id, "season": row.season}, reason, row.attempts)


def record_death(key, message, reason, attempts):
    DeadJob.objects.get_or_create(
        key=key,
        defaults={"message": message, "reason": reason[:200], "attempts": attempts, "died_at": timezone.now()},
    )
