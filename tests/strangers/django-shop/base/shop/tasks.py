import logging

from celery import shared_task
from django.db import transaction
from django.db.models import F

from config.celery import app

from .base_task import ShopTask
from .carrier import CarrierClient
from .errors import InvalidMessage, NotShippable, OrderNotFound
from .mails import shipped_mail
from .models import Order, Product

logger = logging.getLogger(__name__)

Status = Order.Status


class ShipOrder(ShopTask):
    """Take the stock, book the carrier, tell the customer."""

    name = "shop.ship_order"

    def run(self, order_id):
        if not isinstance(order_id, int) or isinstance(order_id, bool) or order_id < 1:
            raise InvalidMessage(f"order_id {order_id!r}")
        order = self.allocate(order_id)
        if order is None:
            return
        booking = CarrierClient().book(
            reference=f"order {order.pk}",
            address=order.address,
            idempotency_key=f"ship-order-{order.pk}",
        )
        self.finish(order_id, booking["tracking"])

    def allocate(self, order_id):
        with transaction.atomic():
            order = self.locked(order_id)
            if order.status in (Status.SHIPPED, Status.ON_HOLD):
                logger.info("order %s is %s, nothing to do", order_id, order.status)
                return None
            if order.status == Status.PAID:
                for line in order.lines.all():
                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)
                order.status = Status.ALLOCATED
                order.save(update_fields=["status"])
            elif order.status != Status.ALLOCATED:
                raise NotShippable(f"order {order_id} is {order.status}")
            return order

    def finish(self, order_id, tracking):
        with transaction.atomic():
            order = self.locked(order_id)
            if order.status != Status.ALLOCATED:
                logger.info("order %s became %s meanwhile", order_id, order.status)
                return
            shipped_mail(order, tracking).send()
            order.status = Status.SHIPPED
            order.tracking = tracking
            order.save(update_fields=["status", "tracking"])
        logger.info("order %s shipped as %s", order_id, tracking)

    def locked(self, order_id):
        try:
            return Order.objects.select_for_update().get(pk=order_id)
        except Order.DoesNotExist:
            raise OrderNotFound(f"order {order_id}") from None

    def give_up(self, order_id=None, **unknown):
        if isinstance(order_id, int):
            Order.objects.filter(pk=order_id, status__in=(Status.PAID, Status.ALLOCATED)).update(
                status=Status.ON_HOLD
            )


ship_order = app.register_task(ShipOrder())


@shared_task(name="shop.requeue_paid", ignore_result=True)
def requeue_paid():
    from .services import requeue_paid_orders

    requeue_paid_orders()
