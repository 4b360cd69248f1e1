"""What the back office does with an order."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from handover.models import DeadLetter, Delivery, Order


def release_order(order_id: int) -> None:
    """The order is paid and checked: LogiHub may have it. The next poll hands it over. Calling it again is safe."""
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        if order.released_at is None:
            order.released_at = timezone.now()
            order.save(update_fields=["released_at"])
        Delivery.objects.get_or_create(order=order)


def revive(order_id: int) -> None:
    """For an order whose handover was given up, after the cause is mended."""
    with transaction.atomic():
        Delivery.objects.filter(order_id=order_id, state=Delivery.State.DEAD).update(
            state=Delivery.State.WAITING, attempts=0
        )
        DeadLetter.objects.filter(order_id=order_id).delete()
