"""What the box office does with orders."""
import logging

from boxoffice import db, outbox, refunds

log = logging.getLogger(__name__)


def request_refund(order_id: int) -> bool:
    """Have an order refunded. False where somebody has asked before."""
    with db.begin() as tx:
        if not refunds.request(tx, order_id):
            return False
        outbox.add(tx, "refund_order", order_id=order_id)
    try:
        outbox.relay()
    except Exception:
        # It is written down; the relay comes by every minute.
        log.exception("refund is requested but not published yet",
                      extra={"job": "refund_order", "order_id": order_id})
    return True
