"""The base class of all tasks of the house."""

import hashlib
import json

from celery import Task
from celery.utils.log import get_task_logger
from django.db import OperationalError, transaction

from payouts.models import DeadLetter

logger = get_task_logger(__name__)


class HouseTask(Task):
    """Delivered at least once, retried with growing waits, and in the end a dead letter.

    A subclass names the errors that may pass in `autoretry_for`, and says by `ref_for`
    what the job is about. Whatever else is raised fails at once.
    """

    abstract = True
    acks_late = True
    reject_on_worker_lost = True

    autoretry_for = (OperationalError,)
    max_retries = 5
    retry_backoff = 15  # 15s, 30s, 60s, 120s, 240s, each shortened at random
    retry_backoff_max = 600
    retry_jitter = True

    def ref_for(self, args, kwargs) -> str:
        """What a dead letter is filed under."""
        text = json.dumps([args, kwargs], sort_keys=True, default=str)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def buried(self, args, kwargs) -> bool:
        """Called with the dead letter, in its transaction; False takes it back."""
        return True

    def before_start(self, task_id, args, kwargs):
        logger.info("%s starts, attempt %d: %r %r", self.name, self.request.retries + 1, args, kwargs)

    def on_success(self, retval, task_id, args, kwargs):
        logger.info("%s succeeded: %s", self.name, retval)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        logger.warning("%s %r will be tried again after attempt %d: %r", self.name, kwargs, self.request.retries + 1, exc)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        try:
            with transaction.atomic():
                if self.buried(args, kwargs):
                    DeadLetter.objects.get_or_create(
                        task=self.name,
                        ref=self.ref_for(args, kwargs),
                        defaults={
                            "task_id": task_id,
                            "message": json.loads(json.dumps({"args": args, "kwargs": kwargs}, default=str)),
                            "reason": f"{type(exc).__name__}: {exc}",
                        },
                    )
        except Exception:
            logger.exception("%s %r: the dead letter could not be written", self.name, kwargs)
        logger.error("%s failed for good: %r %r: %r", self.name, args, kwargs, exc)
