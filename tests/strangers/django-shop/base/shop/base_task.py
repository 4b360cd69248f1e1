"""What all tasks of the shop have in common: retries, late acks, the list of failed tasks."""

import logging
import smtplib

from celery import Task
from django.db import OperationalError, transaction

from .carrier import CarrierUnavailable
from .models import FailedTask

logger = logging.getLogger(__name__)

TRANSIENT = (
    CarrierUnavailable,
    smtplib.SMTPServerDisconnected,
    smtplib.SMTPConnectError,
    ConnectionError,
    TimeoutError,
    OperationalError,
)


class ShopTask(Task):
    acks_late = True
    reject_on_worker_lost = True
    autoretry_for = TRANSIENT
    max_retries = 4
    retry_backoff = 2
    retry_backoff_max = 60
    retry_jitter = True

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        logger.warning(
            "%s[%s] %s: attempt %s failed, will retry: %r",
            self.name, task_id, kwargs, self.request.retries + 1, exc,
        )

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        logger.error("%s[%s] %s given up: %r", self.name, task_id, kwargs, exc)
        with transaction.atomic():
            FailedTask.objects.get_or_create(
                task_id=task_id,
                defaults={
                    "task": self.name,
                    "arguments": {"args": list(args), "kwargs": kwargs},
                    "error": repr(exc),
                },
            )
            self.give_up(*args, **kwargs)

    def give_up(self, *args, **kwargs):
        """Called in the transaction that records the failure."""
