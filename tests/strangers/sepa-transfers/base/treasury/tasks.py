"""Celery's side: thin, everything of interest is in services.py."""

from typing import Any

from celery.signals import task_failure
from celery.utils.log import get_task_logger

from treasury import composition
from treasury.celery_app import app
from treasury.jobtask import JobTask

log = get_task_logger(__name__)


@app.task(bind=True, base=JobTask, name="treasury.execute_transfer", event_field="transfer_id")
def execute_transfer(self: JobTask, payload: dict[str, Any]) -> str:
    # The task id stays the same over retries and redeliveries: it holds the claim.
    return composition.execute(payload, holder=self.request.id)


@task_failure.connect(sender=execute_transfer)
def abandon(sender: JobTask, task_id: str, exception: Exception, args: Any, **_: Any) -> None:
    """A signal and not on_failure: it is sent for an attempt that killed its process, too."""
    payload = args[0] if args else None
    try:
        composition.abandon(payload, repr(exception))
    except Exception as error:
        # The transfer stays APPROVED; once its claim has run out, the sweep brings it back here.
        log.critical(
            "job=%s event_id=%s task_id=%s result=not_recorded reason=%r payload=%r",
            sender.name, sender.event_id(args), task_id, error, payload,
        )  # fmt: skip
        return
    log.error(
        "job=%s event_id=%s task_id=%s result=dead reason=%r", sender.name, sender.event_id(args), task_id, exception
    )


@app.task(name="treasury.relay_outbox")
def relay_outbox() -> int:
    return composition.publish_pending()


@app.task(name="treasury.redispatch_stalled")
def redispatch_stalled() -> int:
    return composition.redispatch_stalled()
