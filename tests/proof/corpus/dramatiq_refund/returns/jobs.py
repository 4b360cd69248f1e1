"""The background job: refund a return, and what becomes of one that cannot be refunded."""

import json
import logging
from typing import Any

import dramatiq

from returns import bank, db
from returns.broker import broker

log = logging.getLogger(__name__)
ATTEMPTS = 4
TRANSIENT = (bank.Unavailable, TimeoutError)


class InvalidReturn(ValueError):
    """No return can have this number or amount."""


def worth_retrying(retries: int, error: BaseException) -> bool:
    """`retry_when` takes the place of `max_retries`, so that it counts too."""
    return isinstance(error, TRANSIENT) and retries < ATTEMPTS - 1


def is_refunded(return_id: int) -> bool:
    """Whether the money of this return went out."""
    with db.transaction() as connection:
        return connection.execute("SELECT 1 FROM refunds WHERE return_id = ?", (return_id,)).fetchone() is not None


def mark_refunded(return_id: int, cents: int) -> None:
    """Records the refund, once."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO refunds VALUES (?, ?) ON CONFLICT DO NOTHING", (return_id, cents))


@dramatiq.actor(
    broker=broker,
    actor_name="refund",
    queue_name="refunds",
    min_backoff=2_000,
    max_backoff=60_000,
    retry_when=worth_retrying,
    on_retry_exhausted="bury_refund",
)
def refund(return_id: int, cents: int) -> None:
    """Refunds one return, once however often the message is delivered."""
    if not isinstance(return_id, int) or return_id < 1:
        raise InvalidReturn(f"{return_id!r} is no return")
    log.info("refund started return_id=%s", return_id)
    if is_refunded(return_id):
        log.info("refund already made return_id=%s", return_id)
        return
    bank.refund(return_id, cents, idempotency_key=f"refund-{return_id}")
    mark_refunded(return_id, cents)
    log.info("refund succeeded return_id=%s", return_id)


@dramatiq.actor(broker=broker, actor_name="bury_refund", queue_name="refunds")
def bury_refund(message: dict[str, Any], retries: dict[str, int]) -> None:
    """No attempt is left, or none would help: the job is kept for a person."""
    payload, reason = message["kwargs"], message["options"]["traceback"].strip().splitlines()[-1]
    log.error("refund is dead return_id=%s: %s", payload.get("return_id"), reason)
    with db.transaction() as connection:
        row = (json.dumps(payload, sort_keys=True), reason)
        connection.execute("INSERT INTO dead_refunds VALUES (?, ?) ON CONFLICT DO NOTHING", row)
