"""Shipments that are packed, were asked for, and have not moved since: their message
was never sent, or is lost. Sending it once more does no harm where it is not."""
import logging
from datetime import timedelta

from django.utils import timezone

from .actors import MAX_ATTEMPTS, print_label
from .burial import bury, key_of
from .models import Shipment

log = logging.getLogger("versand.sweep")

STALE = timedelta(minutes=30)  # the longest wait is 8 minutes, an attempt takes 2 at most


def sweep():
    still = Shipment.objects.filter(state=Shipment.PACKED, touched_at__lt=timezone.now() - STALE)
    for shipment in still.order_by("touched_at")[:200]:
        if shipment.attempts >= MAX_ATTEMPTS:
            bury("print_label", {"order_number": shipment.order_number}, "OutOfAttempts")
            continue
        print_label.send(order_number=shipment.order_number)
        Shipment.objects.filter(pk=shipment.pk, state=Shipment.PACKED).update(touched_at=timezone.now())
        log.info("job=sweep key=%s attempt=%d outcome=sent-again",
                 key_of(shipment.order_number), shipment.attempts)
