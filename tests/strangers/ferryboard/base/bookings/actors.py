import dramatiq

from bookings.errors import Permanent
from bookings.refunds import RefundOrder, RefundService
from ferryboard.broker import broker


@dramatiq.actor(
    broker=broker,
    queue_name="refunds",
    max_retries=4,
    min_backoff=15_000,  # Dramatiq stretches each wait at random, up to twice this
    max_backoff=600_000,
    time_limit=120_000,
    throws=(Permanent,),
    bury=RefundService.bury,
)
def issue_refund(message):
    RefundService().issue(RefundOrder.from_message(message))
