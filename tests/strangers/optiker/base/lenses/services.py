"""What happens to lens orders. Everything here is one short transaction or none."""

import logging

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .models import DeadOrder, LensOrder

logger = logging.getLogger(__name__)
Status = LensOrder.Status


class UnknownOrder(Exception):
    pass


class NotPlaced(Exception):
    pass


class TooManyStarts(Exception):
    pass


class TooLate(Exception):
    pass


def place_order(order_id):
    """Placing it again does nothing: what was not published, the sweep publishes."""
    now = timezone.now()
    with transaction.atomic():
        placed = LensOrder.objects.filter(pk=order_id, status=Status.DRAFT).update(
            status=Status.PLACED, placed_at=now, due_at=now
        )
        if placed:
            transaction.on_commit(lambda: publish(order_id), robust=True)
        elif not LensOrder.objects.filter(pk=order_id).exists():
            raise UnknownOrder(f"no lens order {order_id}")
    return bool(placed)


def publish(order_id):
    from .tasks import order_lenses

    order_lenses.apply_async(kwargs={"order_id": order_id})
    LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
        due_at=timezone.now() + settings.LENS_ORDER_GRACE
    )


def requeue_stalled():
    """Publish again what should have moved by now and has not."""
    stalled = LensOrder.objects.filter(status=Status.PLACED, due_at__lte=timezone.now())
    published = 0
    for order_id in list(stalled.order_by("due_at").values_list("pk", flat=True)):
        publish(order_id)
        logger.info("lens order requeued", extra={"job": "order-lenses", "key": order_id, "outcome": "requeued"})
        published += 1
    return published


def begin(order_id):
    """The order, one start richer; None if nothing is left to do."""
    now = timezone.now()
    with transaction.atomic():
        LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
            starts=F("starts") + 1, due_at=now + settings.LENS_ORDER_GRACE
        )
        order = LensOrder.objects.filter(pk=order_id).first()
    if order is None:
        raise UnknownOrder(f"no lens order {order_id}")
    if order.status == Status.DRAFT:
        raise NotPlaced(f"lens order {order_id} is a draft")
    if order.status != Status.PLACED:
        return None
    if order.starts > settings.LENS_ORDER_MAX_STARTS:
        raise TooManyStarts(f"{order.starts - 1} starts without an end")
    if order.placed_at < now - settings.LENS_ORDER_DEADLINE:
        raise TooLate("placed too long ago")
    return order


def settle(order_id, lab_reference):
    """The laboratory has it, whatever another delivery has made of it meanwhile."""
    with transaction.atomic():
        moved = LensOrder.objects.filter(pk=order_id, status__in=[Status.PLACED, Status.FAILED]).update(
            status=Status.ORDERED, lab_reference=lab_reference, ordered_at=timezone.now(), due_at=None
        )
        if moved:
            DeadOrder.objects.filter(key=str(order_id)).delete()
    return bool(moved)


def bury(key, message, reason, job_id, order_id=None):
    """Record a job that ends here; False if it was at its end before."""
    with transaction.atomic():
        if order_id is not None:
            open_ones = LensOrder.objects.filter(pk=order_id, status=Status.PLACED)
            if not open_ones.update(status=Status.FAILED, due_at=None):
                if LensOrder.objects.filter(pk=order_id).exclude(status=Status.DRAFT).exists():
                    return False
        _, created = DeadOrder.objects.get_or_create(
            key=key, defaults={"message": message, "reason": reason[:200], "job_id": job_id or "-"}
        )
    return created
