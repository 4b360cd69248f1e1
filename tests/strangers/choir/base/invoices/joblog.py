"""One line for each thing that happens to a job. Keys and numbers only: no names, no addresses."""

import logging
from contextvars import ContextVar

from django.dispatch import receiver
from django_q.signals import pre_execute

logger = logging.getLogger("invoices")
_job_id = ContextVar("job_id", default="-")


@receiver(pre_execute)
def remember_job(sender, func, task, **kwargs):
    _job_id.set(task["id"])


def say(outcome, key, attempt=0, level=logging.INFO, **more):
    extra = "".join(f" {name}={value}" for name, value in more.items())
    logger.log(level, "job=%s key=%s attempt=%s outcome=%s%s", _job_id.get(), key, attempt, outcome, extra)
