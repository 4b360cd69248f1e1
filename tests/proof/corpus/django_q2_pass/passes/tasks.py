"""The background job: issue a paid pass."""

import logging

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django_q.models import Task

from passes import turnstile
from passes.models import FailedJob, Lockers, Pass

logger = logging.getLogger("passes")
ATTEMPTS = settings.Q_CLUSTER["max_attempts"]


def issue_pass(number: str = "") -> None:
    """Has a code made, takes one locker and marks the pass, once."""
    logger.info("pass %s: issuing starts", number)
    try:
        sold = Pass.objects.get(number=number)
        if sold.status == "issued":
            logger.info("pass %s: was issued before", number)
            return
        code = turnstile.issue(number, key=f"pass-{number}")
    except (turnstile.Refused, Pass.DoesNotExist) as error:
        logger.error("pass %s: cannot be issued, and is given up: %r", number, error)
        bury(number, repr(error))
        return
    with transaction.atomic():
        issued = Pass.objects.filter(number=number, status="paid").update(status="issued", code=code)
        if issued:
            Lockers.objects.filter(room="north").update(free=F("free") - 1)
    logger.info("pass %s: issued", number)


def ended(task: Task) -> None:
    """Django Q2 calls it at the end of each attempt."""
    if task.success:
        return
    number = str(task.args[0] if task.args else task.kwargs.get("number", ""))
    if task.attempt_count >= ATTEMPTS:
        logger.error("pass %s: failed for good at attempt %s: %s", number, task.attempt_count, task.result)
        bury(number, task.result)
    else:
        logger.warning("pass %s: attempt %s failed, will retry: %s", number, task.attempt_count, task.result)


def bury(number: str, reason: str) -> None:
    """Keeps what was given up, once."""
    FailedJob.objects.get_or_create(task="issue_pass", key=number, defaults={"reason": reason})
