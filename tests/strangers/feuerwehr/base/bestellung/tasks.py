import logging
from datetime import timedelta

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from . import booking, spedition
from .models import OPEN, Outbox

logger = logging.getLogger("bestellung.tasks")

RELAY_BATCH = 100
STORE_RETRIES = 6


def backoff(attempt):
    return settings.BOOKING_BACKOFF_SECONDS * 2 ** (attempt - 1)


@shared_task(bind=True, name="bestellung.book_delivery", acks_late=True, reject_on_worker_lost=True,
             max_retries=None, soft_time_limit=60, time_limit=75)
def book_delivery(self, outbox_id=None, **unknown):
    """Book the delivery that an outbox row owes. The row counts the attempts, not the message."""
    try:
        return _book(self, outbox_id, unknown)
    except (OperationalError, InterfaceError) as exc:
        # The store is away. What was begun stays begun until its lease ends; the relay knows.
        logger.warning("job=%s key=outbox:%s outcome=store-away error=%s delivery=%s",
                       self.request.id, outbox_id if type(outbox_id) is int else "-", type(exc).__name__, self.request.retries + 1)
        raise self.retry(exc=exc, countdown=30, max_retries=STORE_RETRIES)


def _book(task, outbox_id, unknown):
    job = task.request.id
    if unknown or type(outbox_id) is not int or not 0 < outbox_id < 2**63:
        booking.bury_message((outbox_id, sorted(unknown)))
        logger.error("job=%s key=- outcome=invalid-message attempt=0", job)
        return "invalid-message"

    started = booking.begin(outbox_id)
    if started == "missing":
        booking.bury_message((outbox_id, sorted(unknown)))
        logger.error("job=%s key=outbox:%s outcome=unknown-row attempt=0", job, outbox_id)
        return "unknown-row"
    if started == "exhausted":
        logger.error("job=%s key=outbox:%s outcome=dead attempt=%s reason=WorkerLost",
                     job, outbox_id, settings.BOOKING_MAX_ATTEMPTS)
        return "dead"
    if isinstance(started, str):
        # busy: another delivery holds the lease. Should it die, the relay publishes when the lease ends.
        logger.info("job=%s key=outbox:%s outcome=skipped-%s", job, outbox_id, started)
        return started

    key, attempt = started.reference, started.attempt
    try:
        consignment = spedition.book(started.reference, **started.parcel)
    except spedition.ForwarderRefused as exc:
        return _give_up(exc, job, outbox_id, key, attempt)
    except (spedition.ForwarderUnavailable, SoftTimeLimitExceeded) as exc:
        if attempt >= settings.BOOKING_MAX_ATTEMPTS:
            return _give_up(exc, job, outbox_id, key, attempt)
        wait = backoff(attempt)
        if not booking.give_back(outbox_id, attempt, wait):
            logger.warning("job=%s key=%s outcome=overtaken attempt=%s", job, key, attempt)
            return "overtaken"
        logger.warning("job=%s key=%s outcome=retry attempt=%s wait=%ss error=%s",
                       job, key, attempt, wait, type(exc).__name__)
        raise task.retry(exc=exc, countdown=wait)

    outcome = booking.succeed(outbox_id, consignment)
    if outcome == "dead":
        logger.error("job=%s key=%s outcome=booked-after-dead attempt=%s", job, key, attempt)
    else:
        logger.info("job=%s key=%s outcome=%s attempt=%s", job, key, outcome, attempt)
    return outcome


def _give_up(exc, job, outbox_id, key, attempt):
    if not booking.bury(outbox_id, attempt, type(exc).__name__):
        logger.warning("job=%s key=%s outcome=overtaken attempt=%s", job, key, attempt)
        return "overtaken"
    logger.exception("job=%s key=%s outcome=dead attempt=%s", job, key, attempt)
    return "dead"


@shared_task(name="bestellung.relay_outbox", acks_late=True)
def relay_outbox():
    """Publish what is due: new rows, messages that got lost, attempts whose worker is gone.

    The row is put off before its message leaves; a relay that dies in between delays it, and loses nothing.
    """
    published = 0
    for _ in range(RELAY_BATCH):
        now = timezone.now()
        with transaction.atomic():
            row = (Outbox.objects.select_for_update(skip_locked=True)
                   .filter(status__in=OPEN, due_at__lte=now).order_by("due_at", "pk").first())
            if row is None:
                break
            row.status = Outbox.Status.PUBLISHED
            row.due_at = put_off = now + timedelta(seconds=settings.OUTBOX_REPUBLISH_SECONDS)
            row.save(update_fields=["status", "due_at"])
        try:
            book_delivery.apply_async(kwargs={"outbox_id": row.pk})
        except Exception as exc:  # whatever the broker's driver raises: the row stays owed
            Outbox.objects.filter(pk=row.pk, status=Outbox.Status.PUBLISHED, due_at=put_off).update(due_at=now)
            logger.error("key=%s outcome=not-published error=%s", row.reference, type(exc).__name__)
            break
        published += 1
        logger.info("key=%s outcome=published", row.reference)
    return published
