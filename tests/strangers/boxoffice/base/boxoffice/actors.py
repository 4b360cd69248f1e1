"""The actors."""
import logging

import dramatiq

from boxoffice import mailer, policy, refunds
from boxoffice.broker import broker
from boxoffice.paynest import AlreadyRefunded, Paynest

log = logging.getLogger(__name__)


@dramatiq.actor(
    broker=broker,
    queue_name="refunds",
    retry_when=policy.should_retry,
    min_backoff=policy.MIN_BACKOFF,
    max_backoff=policy.MAX_BACKOFF,
    time_limit=policy.TIME_LIMIT,
    dead_letter=refunds.bury,
)
def refund_order(order_id):
    """Give an order's money back, and tell the customer."""
    if type(order_id) is not int or order_id < 1:
        raise policy.BadMessage(f"order_id is {order_id!r}")
    refund = refunds.begin(order_id)
    if not refunds.is_open(refund):
        log.info("job has nothing to do", extra={
            "job": "refund_order", "order_id": order_id, "status": refund.status, "notice": refund.notice})
        return
    if refund.status == "pending":
        try:
            answer = Paynest().refund(
                refund.charge_id, amount=refund.amount_cents, currency=refund.currency,
                idempotency_key=f"order-{order_id}-refund")
            paynest_id = answer["id"]
        except AlreadyRefunded as exc:
            paynest_id = exc.refund_id
        refund = refunds.mark_refunded(order_id, paynest_id)
    if refund.notice != "sent":
        mailer.send(
            refund.customer_email,
            f"Your tickets for {refund.show}",
            f"We have given {refund.amount_cents / 100:.2f} {refund.currency} back to you.\n",
            message_id=f"<order-{order_id}-refund@boxoffice.example>")
        refunds.mark_notified(order_id)
