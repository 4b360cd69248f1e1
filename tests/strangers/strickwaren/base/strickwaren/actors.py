import hashlib
import json
import re

import dramatiq
import structlog
from structlog.contextvars import bind_contextvars

from strickwaren import ledger
from strickwaren.broker import broker
from strickwaren.zahlwerk import RefundDenied, Zahlwerk

log = structlog.get_logger("strickwaren.refunds")

NUMBER = re.compile(r"R-[0-9]{4,8}")


class BadMessage(Exception):
    pass


def _checked(return_number=None, **surplus) -> str:
    if surplus or type(return_number) is not str or not NUMBER.fullmatch(return_number):
        raise BadMessage("expected return_number, R- and digits, and nothing else")
    return return_number


def _bury(message, reason: str) -> None:
    try:
        number = _checked(*message.args, **message.kwargs)
        key = f"refund-{number}"
    except (BadMessage, TypeError):
        text = json.dumps([message.args, message.kwargs], sort_keys=True, default=str)
        number, key = None, "bad-" + hashlib.sha1(text.encode()).hexdigest()
    buried = ledger.bury(key, number, message_id=message.message_id, actor=message.actor_name, reason=reason)
    if buried:
        log.error("refund given up", key=key, outcome="dead", reason=reason)
    else:
        log.info("refund ended elsewhere", key=key, outcome="skipped", reason=reason)


@dramatiq.actor(
    broker=broker,
    queue_name="refunds",
    max_retries=5,
    min_backoff=20_000,
    max_backoff=400_000,
    time_limit=90_000,
    throws=(RefundDenied, BadMessage, TypeError, ledger.NotRefundable, ledger.GivenUp),
    bury=_bury,
)
def refund_return(return_number=None, **surplus):
    """Give the money of a returned parcel back, and write the credit note."""
    number = _checked(return_number, **surplus)
    bind_contextvars(key=f"refund-{number}")
    refund = ledger.begin(number)
    if refund is None:
        log.info("nothing to refund", outcome="skipped")
        return
    log.info("refund started", outcome="started", amount_cents=refund.amount_cents)
    with Zahlwerk() as payments:
        refund_id = payments.refund(
            payment_id=refund.payment_id,
            amount_cents=refund.amount_cents,
            reference=refund.return_number,
            idempotency_key=refund.key,
        )
    if ledger.settle(refund, refund_id):
        log.info("refund made", outcome="refunded", refund_id=refund_id)
    else:
        log.info("refund was known", outcome="skipped", refund_id=refund_id)
