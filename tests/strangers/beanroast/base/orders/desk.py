from django.db import transaction

from jobs.house import submit
from orders.jobs import ship_order
from orders.models import Order


class NotPackable(Exception):
    pass


def mark_packed(number):
    """The packing desk has closed the box. The carrier is slow, so the label comes by a job."""
    with transaction.atomic():
        order = Order.objects.select_for_update().get(number=number)
        if order.status not in (Order.PAID, Order.PACKED):
            raise NotPackable(f"{number} is {order.status}")
        order.status = Order.PACKED
        order.save(update_fields=["status"])
        submit(ship_order, order_number=number)
    return order
