"""The house's tasks."""

import hashlib
import json
import sqlite3
import time

import structlog
from celery import Task
from celery.exceptions import Reject

from ridepool import settings
from ridepool.paywire import PaywireDown
from ridepool.uow import UnitOfWork

logger = structlog.get_logger("ridepool")


def payout_id_of(message: dict) -> int | None:
    payout_id = message.get("payout_id")
    if set(message) == {"payout_id"} and type(payout_id) is int and 0 < payout_id < 2**53:
        return payout_id
    return None


def bury(task: str, task_id: str, message: dict, error: str) -> bool:
    """Write the dead letter of a message, and fail its payout. False if that has ended in the meantime."""
    payout_id = payout_id_of(message)
    text = json.dumps(message, sort_keys=True, default=repr)
    with UnitOfWork() as uow:
        payout = uow.payouts.get(payout_id) if payout_id else None
        if payout is not None:
            if payout.status in ("paid", "failed"):
                return False
            uow.payouts.failed(payout_id)
        ref = f"payout-{payout_id}" if payout_id else hashlib.sha256(text.encode()).hexdigest()[:24]
        uow.letters.write(ref, task, task_id, text, error)
    return True


class PayoutTask(Task):
    """Moves money: acknowledged when it is done, tried five times, buried after that.

    What a task raises is either in `autoretry_for`, or final.
    """

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True

    autoretry_for = (PaywireDown, sqlite3.OperationalError)
    max_retries = settings.RETRIES
    retry_backoff = settings.BACKOFF
    retry_backoff_max = settings.BACKOFF_MAX
    retry_jitter = True

    def log(self, message: dict):
        return logger.bind(
            job=self.name, task_id=self.request.id, key=message.get("payout_id"), attempt=self.request.retries + 1
        )

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log(kwargs).warning("payout_failed", outcome="retry", error=describe(exc))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        message = dict(kwargs)
        if len(args) == 1 and not kwargs:
            message = {"payout_id": args[0]}
        elif args:
            message["*"] = list(args)
        log = self.log(message).bind(error=describe(exc))
        # Celery would acknowledge after this, whatever else is raised here.
        for pause in (0.2, 1.0, None):
            try:
                buried = bury(self.name, task_id, message, describe(exc))
                break
            except sqlite3.OperationalError as trouble:
                if pause is None:
                    log.critical("dead_letter_not_written", outcome="redelivery", trouble=describe(trouble))
                    raise Reject(trouble, requeue=True) from trouble
                time.sleep(pause)
        if buried:
            log.error("payout_given_up", outcome="dead")
        else:
            log.info("payout_ended_elsewhere", outcome="skipped")


def describe(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"
