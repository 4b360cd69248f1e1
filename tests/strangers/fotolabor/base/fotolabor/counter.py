"""What the till calls once an order is paid."""
import logging

from redis.exceptions import RedisError

from .repository import Orders
from .tasks import deliver_order

log = logging.getLogger(__name__)


def order_paid(order_id):
    orders = Orders()
    orders.queue(order_id)
    order = orders.get(order_id)
    if order is None:
        return None
    if order.status == "queued":
        enqueue(order_id)
    return order.status


def enqueue(order_id):
    try:
        deliver_order(order_id=order_id)
        return True
    except (RedisError, OSError) as error:
        # It says queued; the rescue finds it.
        log.warning("job=deliver_order id=- key=order-%s attempt=0 outcome=not-queued reason=%s",
                    order_id, type(error).__name__)
        return False
