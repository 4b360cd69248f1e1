"""Refunds whose message got lost, or was never sent."""

from datetime import timedelta

from django.utils import timezone
from loguru import logger

from bookings.cancellations import CancellationService
from bookings.models import Refund

# longer than the longest wait between two tries
STALLED_AFTER = timedelta(minutes=5)


def requeue_stalled():
    """Runs every ten minutes, see crontab."""
    stalled = Refund.objects.filter(
        status=Refund.Status.REQUESTED, touched_at__lt=timezone.now() - STALLED_AFTER
    ).select_related("booking")
    for refund in stalled:
        logger.bind(booking=refund.booking.reference).warning("refund stalled, ordered again")
        CancellationService.order_refund(refund.booking.reference)
        Refund.objects.filter(pk=refund.pk).update(touched_at=timezone.now())
