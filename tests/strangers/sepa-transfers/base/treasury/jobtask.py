"""The base class of all jobs of the house."""

from typing import Any

from celery import Task
from celery.utils.log import get_task_logger

from treasury.errors import TransientError

log = get_task_logger(__name__)


class JobTask(Task):
    """Acknowledges late, retries TransientError only, and says what became of every attempt."""

    abstract = True

    acks_late = True
    reject_on_worker_lost = True
    retry_on_worker_lost = True  # a child that dies uses up an attempt
    default_retry_delay = 60  # after such a death

    autoretry_for = (TransientError,)
    max_retries = 4  # five attempts in all
    retry_backoff = 30
    retry_backoff_max = 240
    retry_jitter = True

    event_field = "id"

    def event_id(self, args: Any) -> Any:
        payload = args[0] if args else None
        return payload.get(self.event_field) if isinstance(payload, dict) else None

    def _line(self, level: int, task_id: str, args: Any, result: str, reason: Any = "") -> None:
        log.log(
            level,
            "job=%s event_id=%s task_id=%s attempt=%s result=%s reason=%r",
            self.name, self.event_id(args), task_id, self.request.retries + 1, result, reason,
        )  # fmt: skip

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self._line(20, task_id, args, "done", retval)

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._line(30, task_id, args, "retry", exc)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._line(40, task_id, args, "failed", exc)
