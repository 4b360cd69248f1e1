"""Refunds that stood still: their message got lost. Every ten minutes."""
import logging
import time

from boxoffice import policy, refunds
from boxoffice.actors import refund_order

log = logging.getLogger(__name__)


def chase() -> list[int]:
    found = refunds.stale(time.time() - policy.STALE_AFTER)
    for order_id in found:
        log.warning("job stood still, published again", extra={"job": "refund_order", "order_id": order_id})
        refund_order.send(order_id=order_id)
    return found


if __name__ == "__main__":
    chase()
