"""The background job: email the receipt of a settled order."""

import json
from typing import Any

from celery import Task
from celery.signals import task_failure
from celery.utils.log import get_task_logger

from shop import db, mailer
from shop.celery import app

log = get_task_logger(__name__)


class InvalidOrder(ValueError):
    """No order can have this number."""


class LoggedTask(Task):
    """Says why an attempt failed and that there will be another."""

    def on_retry(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        log.warning("receipt will be retried order_id=%s reason=%r", kwargs.get("order_id"), exc)


def was_sent(order_id: int) -> bool:
    """Whether the receipt of this order went out."""
    with db.transaction() as connection:
        return connection.execute("SELECT 1 FROM receipts WHERE order_id = ?", (order_id,)).fetchone() is not None


def mark_sent(order_id: int, email: str) -> None:
    """Records the receipt, once."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))


@app.task(
    bind=True,
    base=LoggedTask,
    name="shop.send_receipt",
    autoretry_for=(mailer.Unavailable, TimeoutError),
    max_retries=3,
    retry_backoff=2,
    retry_backoff_max=60,
    retry_jitter=True,
)
def send_receipt(self: Task, order_id: int, email: str) -> None:
    """Emails the receipt of one order, once however often the message is delivered."""
    if not isinstance(order_id, int) or order_id < 1:
        raise InvalidOrder(f"{order_id!r} is no order number")
    log.info("receipt started order_id=%s task_id=%s", order_id, self.request.id)
    if was_sent(order_id):
        log.info("receipt already sent order_id=%s", order_id)
        return
    mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
    mark_sent(order_id, email)
    log.info("receipt succeeded order_id=%s", order_id)


@task_failure.connect(sender=send_receipt)
def give_up(exception: Exception, kwargs: dict[str, Any], **_: Any) -> None:
    """No attempt is left, or none would help: the job is kept for a person."""
    log.error("receipt is dead order_id=%s reason=%r", kwargs.get("order_id"), exception)
    with db.transaction() as connection:
        row = (json.dumps(kwargs, sort_keys=True), repr(exception))
        connection.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)
