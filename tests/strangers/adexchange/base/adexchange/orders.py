"""What the web application calls."""
import uuid

from redis.exceptions import RedisError

from . import ledger, log, queueing

logger = log.get("adexchange.orders")


def place(order_no, campaign_id, amount_cents):
    """Order a top-up. The form draws the number, so that sending it twice orders once."""
    status = ledger.order(order_no, campaign_id, amount_cents, str(uuid.uuid4()))
    if status == "ordered":
        try:
            queueing.put(order_no)
        except RedisError as error:
            # The order stands; the rescue queues it.
            logger.warning("not queued", key=order_no, job_id=queueing.job_id_of(order_no), outcome="not-queued",
                           error=type(error).__name__)
    return status
