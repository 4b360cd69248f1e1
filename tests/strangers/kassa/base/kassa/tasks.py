"""What Celery runs. Decisions are the service's; this module only turns them into acknowledgements and retries."""

from __future__ import annotations

from typing import Any

from celery import Task

from kassa import sweeps
from kassa.celery_app import app
from kassa.domain import delay_after
from kassa.gateway import PaymentGateway
from kassa.service import CaptureService, log
from kassa.settings import get_settings
from kassa.store import STORE_ERRORS, PaymentStore


class CaptureTask(Task):
    """Builds the service for an attempt, and says in the log what Celery itself gives up."""

    abstract = True
    # Attempts are counted in the payment's row. This bounds the rest: waits for a lease, and for a database that is down.
    max_retries = 15

    def service(self) -> CaptureService:
        settings = get_settings()
        return CaptureService(
            PaymentStore(settings.database_dsn),
            PaymentGateway(settings.gateway_url, settings.gateway_token),
        )

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: dict[str, Any], einfo: Any) -> None:
        log.error(
            "job=capture-payment message=%r delivery=%s result=left-to-the-sweep reason=%r",
            args, self.request.retries + 1, exc,
        )  # fmt: skip


@app.task(bind=True, base=CaptureTask, name="kassa.capture_payment")
def capture_payment(self: CaptureTask, message: dict[str, Any]) -> str:
    """Takes the money of one shipped order."""
    try:
        outcome = self.service().handle(message)
    except STORE_ERRORS as error:
        log.warning(
            "job=capture-payment message=%r delivery=%s result=retry reason=%r",
            message, self.request.retries + 1, error,
        )  # fmt: skip
        raise self.retry(exc=error, countdown=delay_after(self.request.retries + 1).total_seconds())
    if outcome.retry_in is not None:
        raise self.retry(countdown=outcome.retry_in.total_seconds())
    return outcome.result


@app.task(name="kassa.sweep_stuck_captures")
def sweep_stuck_captures() -> int:
    return sweeps.requeue_stuck()
