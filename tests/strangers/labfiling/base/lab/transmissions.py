"""The state of a filing, and every change of it."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from .models import DeadLetter, Result, Transmission

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
MAX_DEATHS = 3


class UnknownResult(Exception):
    pass


class NotReleased(Exception):
    pass


class AttemptsUsedUp(Exception):
    pass


class WorkerKeepsDying(Exception):
    pass


def ensure(result):
    transmission, _ = Transmission.objects.get_or_create(
        result=result, defaults={"submission_id": f"LAB-{result.order_no}"}
    )
    return transmission


def start(result_id):
    """Begin an attempt. None: there is nothing (left) to do."""
    with transaction.atomic():
        result = Result.objects.filter(pk=result_id).first()
        if result is None:
            raise UnknownResult(f"no result {result_id}")
        if result.status == Result.Status.WITHDRAWN:
            Transmission.objects.filter(
                result=result, status=Transmission.Status.QUEUED
            ).update(status=Transmission.Status.CANCELLED)
            log.info("result %s: withdrawn, not filed", result_id)
            return None
        if result.status != Result.Status.RELEASED:
            raise NotReleased(f"result {result_id} is {result.status}")
        pk = ensure(result).pk
        transmission = (
            Transmission.objects.select_for_update(of=("self",))
            .select_related("result")
            .get(pk=pk)
        )
        if transmission.status != Transmission.Status.QUEUED:
            log.info("result %s: is %s already, nothing to do", result_id, transmission.status)
            return None
        if transmission.failures >= MAX_ATTEMPTS:
            raise AttemptsUsedUp(f"{transmission.failures} attempts failed")
        if transmission.starts - transmission.failures >= MAX_DEATHS:
            raise WorkerKeepsDying(f"started {transmission.starts} times, never came to an end")
        transmission.starts += 1
        transmission.due_at = timezone.now()
        transmission.save(update_fields=["starts", "due_at"])
    return transmission


def count_failure(result_id, wait):
    """Note a failed attempt and when the next is due; return how many failed."""
    with transaction.atomic():
        transmission = (
            Transmission.objects.select_for_update().filter(result_id=result_id).first()
        )
        if transmission is None:
            return 0
        transmission.failures += 1
        transmission.due_at = timezone.now() + timedelta(seconds=wait(transmission.failures))
        transmission.save(update_fields=["failures", "due_at"])
        return transmission.failures


def finish(transmission, receipt):
    sent = Transmission.objects.filter(
        pk=transmission.pk, status=Transmission.Status.QUEUED
    ).update(status=Transmission.Status.SENT, receipt=receipt, sent_at=timezone.now())
    if sent:
        log.info("result %s: filed, receipt %s", transmission.result_id, receipt)
        return
    transmission.refresh_from_db()
    log.warning(
        "result %s: filed, receipt %s, but was %s meanwhile",
        transmission.result_id, receipt, transmission.status,
    )


def bury(result_id, task, task_id, message, exc):
    """Record a job that has come to a bad end; result_id None: nobody knows whose."""
    letter = {
        "task": task,
        "message": message,
        "reason": f"{type(exc).__name__}: {exc}",
    }
    with transaction.atomic():
        transmission = Transmission.objects.filter(result_id=result_id).first()
        if transmission is not None:
            changed = Transmission.objects.filter(
                pk=transmission.pk, status=Transmission.Status.QUEUED
            ).update(status=Transmission.Status.FAILED)
            if not changed:
                log.warning("result %s: %s, but is done with", result_id, letter["reason"])
                return
            letter["transmission"] = transmission
        DeadLetter.objects.get_or_create(task_id=task_id, defaults=letter)
    log.error("result %s: given up, message %r: %s", result_id, message, letter["reason"])
