from functools import cache

import dramatiq
import structlog
from dramatiq.middleware import TimeLimitExceeded
from sqlalchemy.exc import OperationalError

from . import broker as _broker  # noqa: F401  (sets dramatiq's broker)
from . import ledger
from .messages import ChargeOrder
from .paygate import Paygate, Unavailable
from .settings import settings

log = structlog.get_logger("gemshop.charge")

MAX_ATTEMPTS = 5
TRANSIENT = (Unavailable, OperationalError, TimeLimitExceeded)


@cache
def paygate() -> Paygate:
    return Paygate(settings.paygate_key.get_secret_value(), settings.paygate_url)


def worth_another_try(retries: int, exc: BaseException) -> bool:
    """Asked by Retries; `retries` is how many there were before this attempt."""
    return isinstance(exc, TRANSIENT) and retries < MAX_ATTEMPTS - 1


@dramatiq.actor(
    queue_name="payments",
    retry_when=worth_another_try,
    min_backoff=10_000,
    max_backoff=300_000,
    time_limit=60_000,
)
def charge_order(order_id: str) -> None:
    ChargeOrder(order_id=order_id)
    charge = ledger.begin(order_id)
    if charge is None:
        log.info("charge.nothing_to_do", order_id=order_id)
        return
    log.info("charge.started", order_id=order_id, attempt_id=charge.attempt_id)
    try:
        capture = paygate().captures.create(
            amount=charge.cents,
            currency="EUR",
            customer=charge.customer,
            reference=order_id,
            idempotency_key=f"charge-{order_id}",
        )
    except Exception as exc:
        ledger.close(charge, f"{type(exc).__name__}: {exc}")
        raise
    credited = ledger.credit(charge, capture["id"])
    log.info("charge.done", order_id=order_id, capture_id=capture["id"], credited=credited)
