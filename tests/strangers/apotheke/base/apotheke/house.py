"""What every task of the house does alike."""
import hashlib
import json
import logging

from celery import Task
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

STORE_TROUBLE = (DBAPIError, PoolTimeout)


def insist(write, *args, tries: int = 3):
    """What has been decided is written down, even if the store stumbles."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except STORE_TROUBLE:
            if not left:
                raise


def reason_of(error: BaseException) -> str:
    """Statements carry their parameters with them, and these are nobody's business."""
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {type(error.orig).__name__}"
    return f"{type(error).__name__}: {error}"[:200]


class HouseTask(Task):
    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    job = ""
    log = logging.getLogger("apotheke.jobs")

    def key(self, message: dict) -> str | None:
        """The key of a well-formed message."""
        raise NotImplementedError

    def bury(self, message: dict, letter: dict) -> bool:
        raise NotImplementedError

    def wait(self) -> int:
        raise NotImplementedError

    def note(self, level: int, text: str, message: dict, outcome: str, **more) -> None:
        extra = {
            "job": self.job,
            "job_id": self.request.id,
            "key": self._key(message),
            "attempt": self.request.retries + 1,
            "outcome": outcome,
            **more,
        }
        self.log.log(level, text, extra=extra)

    def try_again(self, message: dict, error: Exception):
        if self.request.retries >= self.max_retries:
            raise error
        wait = self.wait()
        self.note(logging.WARNING, "will be tried again", message, "retry", wait=wait, reason=reason_of(error))
        raise self.retry(exc=error, countdown=wait)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        reason = reason_of(exc)
        if args:
            kwargs = {**kwargs, "*": list(args)}
        letter = {"task": self.name, "key": self._key(kwargs), "task_id": task_id, "message": kwargs, "reason": reason}
        buried = insist(self.bury, kwargs, letter)
        self.note(logging.ERROR, "given up", kwargs, "dead" if buried else "was_over", reason=reason)

    def _key(self, message: dict) -> str:
        known = self.key(message)
        if known is not None:
            return known
        text = json.dumps(message, sort_keys=True, default=str)
        return "bad-" + hashlib.sha256(text.encode()).hexdigest()[:20]
