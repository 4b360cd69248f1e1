"""Looks for orders that are due."""

from __future__ import annotations

import logging

from django.utils import timezone

from handover.models import Delivery
from handover.push import due, push_order

log = logging.getLogger("handover.poller")

BATCH = 200


def run_once() -> int:
    """One poll: every due order gets an attempt, those first that wait longest. Returns how many were due."""
    order_ids = list(
        Delivery.objects.filter(due(timezone.now()))
        .order_by("last_attempt_at", "order_id")
        .values_list("order_id", flat=True)[:BATCH]
    )
    for order_id in order_ids:
        try:
            push_order(order_id)
        except Exception:  # one order must not keep the others waiting
            log.exception("job=push-order order_id=%s result=retry reason=the attempt broke off", order_id)
    return len(order_ids)
