"""The background job: email the receipt of a settled order."""

from typing import Any

from celery import Task
from celery.signals import task_failure
from celery.utils.log import get_task_logger

from shop import dead_jobs, mailer, receipts
from shop.celery import app

log = get_task_logger(__name__)


class LoggedTask(Task):
    """Says why an attempt failed and whether there will be another."""

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


@app.task(
    bind=True,
    base=LoggedTask,
    name="shop.send_receipt",
    autoretry_for=(Exception,),
    max_retries=4,  # five attempts in all
    retry_backoff=2,  # at most 2, 4, 8, 16 seconds
    retry_backoff_max=60,
    retry_jitter=True,
    default_retry_delay=60,  # after an attempt that killed its worker
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


@task_failure.connect(sender=send_receipt)
def give_up(sender: LoggedTask, exception: Exception, kwargs: dict[str, Any], **_: Any) -> None:
    """No attempt is left, or none would help: the job is kept for a person.

    A signal and not `on_failure`, because Celery sends it too when the last attempt killed its own process.
    """
    log.error("send_receipt is dead order_id=%s correlation_id=%s", kwargs.get("order_id"), sender.correlation_id())
    dead_jobs.record("send-receipt", kwargs, repr(exception))
