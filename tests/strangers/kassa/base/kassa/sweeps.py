"""Brings back captures whose message was lost: never sent, dropped by the broker, or gone with its worker."""

from __future__ import annotations

import logging
from datetime import timedelta

from kassa.celery_app import SWEEP_EVERY_SECONDS
from kassa.domain import utcnow
from kassa.settings import get_settings
from kassa.store import PaymentStore

log = logging.getLogger("kassa.sweep")

GRACE = timedelta(seconds=30)
BATCH = 500


def requeue_stuck() -> int:
    """Publishes every overdue capture again; a message too many does no harm. Returns how many."""
    from kassa.tasks import capture_payment

    order_ids = PaymentStore(get_settings().database_dsn).stuck(utcnow(), GRACE, BATCH)
    for order_id in order_ids:
        # The next sweep sends another one: without `expires` they would pile up while no worker runs.
        capture_payment.apply_async(args=[{"order_id": order_id}], expires=SWEEP_EVERY_SECONDS)
        log.warning("job=capture-payment order_id=%s result=requeued reason=overdue", order_id)
    return len(order_ids)
