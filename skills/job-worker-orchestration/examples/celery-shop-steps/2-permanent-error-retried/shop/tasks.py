"""The background job: email the receipt of a settled order."""

from typing import Any

from celery import Task
from celery.utils.log import get_task_logger

from shop import dead_jobs, mailer, receipts
from shop.celery import app

log = get_task_logger(__name__)


class LoggedTask(Task):
    """Says whether a failed job will be tried again; one that will not becomes a dead job."""

    def correlation_id(self) -> str:
        """The id of the request that settled the order, else the task's own."""
        return (self.request.headers or {}).get("request_id") or self.request.id

    def on_retry(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        log.warning(
            "send_receipt will retry order_id=%s correlation_id=%s attempt=%s reason=%r",
            kwargs.get("order_id"), self.correlation_id(), self.request.retries + 1, exc,
        )  # fmt: skip

    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        log.error(
            "send_receipt failed order_id=%s correlation_id=%s attempt=%s reason=%r",
            kwargs.get("order_id"), self.correlation_id(), self.request.retries + 1, exc,
        )  # fmt: skip
        dead_jobs.record("send-receipt", kwargs, repr(exc))


@app.task(
    bind=True,
    base=LoggedTask,
    name="shop.send_receipt",
    autoretry_for=(Exception,),
    max_retries=4,  # five attempts in all
    retry_backoff=2,  # at most 2, 4, 8, 16 seconds
    retry_backoff_max=60,
    retry_jitter=True,
)
def send_receipt(self: LoggedTask, order_id: int, email: str) -> None:
    """Emails the receipt of one order, once however often the message is delivered.

    A worker that dies after the email and before the mark makes the next delivery send again,
    under the same key: the provider drops it.
    """
    key = receipts.idempotency_key(order_id)
    log.info("send_receipt started order_id=%s correlation_id=%s", order_id, self.correlation_id())
    if receipts.was_sent(order_id):
        log.info("send_receipt already sent order_id=%s correlation_id=%s", order_id, self.correlation_id())
        return
    mailer.send(order_id, email, idempotency_key=key)
    receipts.mark_sent(order_id, email)
    log.info("send_receipt succeeded order_id=%s correlation_id=%s", order_id, self.correlation_id())
