"""Orders whose task went down with its worker, or never reached Redis."""
import logging

from .counter import enqueue
from .repository import Orders

log = logging.getLogger(__name__)


def rescue():
    found = Orders().standing_still()
    for order_id in found:
        if enqueue(order_id):
            log.warning("job=rescue_orders id=- key=order-%s attempt=0 outcome=queued", order_id)
    return len(found)
