"""The background job: text one patient."""

import logging
from typing import Any

from redis import Redis
from rq.job import Job

from clinic import sms
from clinic.store import redis

log = logging.getLogger(__name__)
WEEK = 7 * 24 * 3600


class BadAppointment(ValueError):
    """The payload names no appointment."""


def remind(payload: dict[str, Any]) -> None:
    """Texts one patient, once however often the job runs."""
    appointment, phone = payload.get("appointment_id"), payload.get("phone")
    if not isinstance(appointment, int) or appointment < 1 or not phone:
        raise BadAppointment(f"{payload!r} is no appointment")
    log.info("reminder started appointment=%s", appointment)
    key = f"reminded:{appointment}"
    if redis.exists(key):
        log.info("already reminded appointment=%s", appointment)
        return
    sms.send(phone, f"Your appointment {appointment} is tomorrow", reference=f"reminder-{appointment}")
    redis.set(key, "1", ex=WEEK)
    log.info("reminder succeeded appointment=%s", appointment)


def failed(job: Job, connection: Redis, kind: type[Exception], error: Exception, trace: Any) -> None:
    """After each failed attempt: what can never work is not tried again, and RQ keeps it as failed."""
    appointment = job.args[0].get("appointment_id")
    if isinstance(error, (sms.UnknownNumber, BadAppointment)):
        job.retries_left = 0
    if job.retries_left:
        log.warning("reminder will be retried appointment=%s reason=%r", appointment, error)
    else:
        log.error("reminder failed for good appointment=%s reason=%r", appointment, error)
