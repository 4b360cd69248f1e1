"""Brings back rents whose message was lost. Cron runs `python -m rents.sweeps` every hour."""
import rentdesk.boot  # noqa: F401

import logging
from datetime import timedelta

from django.utils import timezone

from rents.models import RentCharge
from rents.monthly import publish
from rents.queues import MAX_ATTEMPTS, enqueue_collection
from rents.tasks import give_up

log = logging.getLogger("rents.sweeps")

# Longer than the longest wait between two attempts (32 min) and an attempt itself.
STALLED_AFTER = timedelta(minutes=45)
TOO_LATE_AFTER = timedelta(days=3)  # well within the seven days that Sammelwerk knows a key


def publish_pending():
    """Charges that were committed, but never reached the queue."""
    for charge in RentCharge.objects.filter(status=RentCharge.Status.DUE, published_at=None):
        log.info("publishing a rent that was left behind", extra={"job": charge.reference})
        publish(charge)


def requeue_stalled():
    """Charges that were published and then stood still."""
    now = timezone.now()
    stalled = RentCharge.objects.filter(
        status__in=RentCharge.OPEN, published_at__isnull=False, touched_at__lt=now - STALLED_AFTER)
    for charge in stalled.select_related("tenancy"):
        if charge.attempts >= MAX_ATTEMPTS:
            give_up(charge, f"stopped {charge.attempts} times without a result; look the debit up")
        elif charge.published_at < now - TOO_LATE_AFTER:
            give_up(charge, "not collected within three days")
        else:
            log.warning("rent stood still, publishing again",
                        extra={"job": charge.reference, "attempt": charge.attempts})
            # published_at stays: it says for how long we have been trying
            enqueue_collection(charge.tenancy_id, charge.period)
            RentCharge.objects.filter(pk=charge.pk).update(touched_at=now)


def main():
    publish_pending()
    requeue_stalled()


if __name__ == "__main__":
    main()
