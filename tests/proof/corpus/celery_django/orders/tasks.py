"""The background job: ship a paid order."""

import logging
from typing import Any

from celery import Task, shared_task
from django.db import transaction
from django.db.models import F

from orders import carrier
from orders.models import FailedJob, Order, Stock

logger = logging.getLogger("orders")


class ShippingTask(Task):
    """Records of each attempt's end, and a row for what was given up."""

    def on_retry(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        logger.warning("order %s: shipping is tried again after %r", order_of(args, kwargs), exc)

    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        logger.error("order %s: shipping failed: %r", order_of(args, kwargs), exc)
        FailedJob.objects.get_or_create(task="ship_order", key=order_of(args, kwargs), defaults={"reason": repr(exc)})


def order_of(args: Any, kwargs: dict[str, Any]) -> str:
    """The order's number, however it was passed."""
    return str(args[0] if args else kwargs.get("number"))


@shared_task(
    bind=True, base=ShippingTask, autoretry_for=(carrier.CarrierDown, TimeoutError), max_retries=3,
    retry_backoff=4, retry_backoff_max=120,
)  # fmt: skip
def ship_order(self: Task, number: str) -> None:
    """Books a label, takes one lamp out of stock and marks the order, once."""
    logger.info("order %s: shipping starts, attempt %s", number, self.request.retries + 1)
    order = Order.objects.get(number=number)
    if order.status == "shipped":
        logger.info("order %s: was shipped before", number)
        return
    label = carrier.book_label(number, key=f"ship-{number}")
    with transaction.atomic():
        shipped = Order.objects.filter(number=number, status="paid").update(status="shipped", label=label)
        if shipped:
            Stock.objects.filter(product="lamp").update(left=F("left") - 1)
    logger.info("order %s: shipped", number)
