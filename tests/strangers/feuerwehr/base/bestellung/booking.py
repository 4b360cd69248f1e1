"""The steps of a booking, each one a transaction of its own. No transaction is open during the call.

begin    counts the attempt and takes the lease, before anything leaves the house; so a worker that is
         killed has used up its attempt, and a row that kills every worker ends as a dead booking.
succeed  writes what the forwarder said, whoever asked it: the reference makes it one booking.
give_back, bury   count only while the attempt is still ours.
"""
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .models import OPEN, DeadBooking, Order, Outbox


@dataclass(frozen=True)
class Started:
    attempt: int
    reference: str
    order_id: int
    parcel: dict


def begin(outbox_id):
    """Started, or the word for why there is nothing to do: missing, busy, done, dead, exhausted."""
    now = timezone.now()
    with transaction.atomic():
        row = (
            Outbox.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("order").filter(pk=outbox_id).first()
        )
        if row is None:
            return "busy" if Outbox.objects.filter(pk=outbox_id).exists() else "missing"
        if row.status not in OPEN:
            return str(row.status)
        if row.status == Outbox.Status.RUNNING and row.due_at > now:
            return "busy"
        if row.attempts >= settings.BOOKING_MAX_ATTEMPTS:
            _bury_locked(row, "WorkerLost")
            return "exhausted"
        row.status = Outbox.Status.RUNNING
        row.attempts += 1
        row.due_at = now + timedelta(seconds=settings.BOOKING_LEASE_SECONDS)
        row.save(update_fields=["status", "attempts", "due_at"])
        order = row.order
        return Started(
            attempt=row.attempts,
            reference=row.reference,
            order_id=order.pk,
            parcel={
                "brigade": order.brigade, "street": order.street, "postcode": order.postcode,
                "article": order.article, "pieces": order.pieces,
            },
        )


def succeed(outbox_id, consignment):
    with transaction.atomic():
        row = Outbox.objects.select_for_update().get(pk=outbox_id)
        if row.status not in OPEN:
            return str(row.status)
        row.status = Outbox.Status.DONE
        row.save(update_fields=["status"])
        Order.objects.filter(pk=row.order_id, status=Order.Status.ORDERED).update(
            status=Order.Status.BOOKED, consignment=consignment
        )
        return "booked"


def give_back(outbox_id, attempt, wait):
    """The attempt failed in passing. The retry message comes after the wait; failing that, the relay does."""
    later = timezone.now() + timedelta(seconds=wait + settings.OUTBOX_REPUBLISH_SECONDS)
    return bool(
        Outbox.objects.filter(pk=outbox_id, status=Outbox.Status.RUNNING, attempts=attempt)
        .update(status=Outbox.Status.PUBLISHED, due_at=later)
    )


def bury(outbox_id, attempt, reason):
    with transaction.atomic():
        row = Outbox.objects.select_for_update().get(pk=outbox_id)
        if row.status != Outbox.Status.RUNNING or row.attempts != attempt:
            return False
        _bury_locked(row, reason)
        return True


def _bury_locked(row, reason):
    row.status = Outbox.Status.DEAD
    row.save(update_fields=["status"])
    Order.objects.filter(pk=row.order_id, status=Order.Status.ORDERED).update(status=Order.Status.STRANDED)
    DeadBooking.objects.get_or_create(
        key=row.reference, defaults={"outbox": row, "reason": reason, "attempts": row.attempts}
    )


def bury_message(message):
    """A message that is none of ours. Kept once, as a digest: who knows what somebody has put into it."""
    digest = hashlib.sha256(repr(message).encode()).hexdigest()[:24]
    DeadBooking.objects.get_or_create(key=f"message:{digest}", defaults={"reason": "InvalidMessage"})
