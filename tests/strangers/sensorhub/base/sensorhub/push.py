"""The job that pages somebody."""

import hashlib
import json
import logging
import re
from typing import Any

from sensorhub.joblog import JobLog
from sensorhub.pager import PagerRejected
from sensorhub.storage import Alarm, UnitOfWork

JOB = "push_alarm"
MAX_ATTEMPTS = 5


class BadMessage(Exception):
    pass


class UnknownAlarm(Exception):
    pass


class AttemptsUsedUp(Exception):
    pass


HOPELESS = (BadMessage, UnknownAlarm, AttemptsUsedUp, PagerRejected)


async def push_alarm(ctx: dict[str, Any], **message: Any) -> str:
    """Trigger the pager and keep its receipt.

    The alarm's id is the pager's dedup_key, so a second delivery, or two at once, or one
    after a crash, wake nobody twice. Attempts are counted in the database before the pager
    is called. Raising hands the job back to SAQ, which waits and delivers it again.
    """
    job = ctx["job"]
    log = JobLog(logging.getLogger(__name__), {"job": JOB, "key": job.key, "attempt": job.attempts})
    attempt = job.attempts
    try:
        alarm_id = read(message)
        attempt, alarm = await begin(ctx["db"], alarm_id)
        log.extra["attempt"] = attempt
        if alarm.settled:
            log.info("nothing to do, alarm %s is %s", alarm.id, alarm.state)
            return alarm.state
        if attempt > MAX_ATTEMPTS:
            raise AttemptsUsedUp(f"{MAX_ATTEMPTS} attempts, and the last one never came back")
        log.info("start: %s alarm of %s", alarm.severity, alarm.sensor)
        receipt = await ctx["pager"].trigger(
            dedup_key=f"sensorhub/{alarm.id}",
            severity=alarm.severity,
            source=alarm.sensor,
            summary=alarm.summary,
        )
        await deliver(ctx["db"], alarm, receipt)
    except Exception as exc:
        if isinstance(exc, HOPELESS) or attempt >= MAX_ATTEMPTS:
            return await give_up(ctx["db"], message, exc, log)
        log.warning("attempt %d of %d failed, will be tried again: %r", attempt, MAX_ATTEMPTS, exc)
        raise
    log.info("delivered, receipt %s", receipt)
    return "delivered"


def read(message: dict[str, Any]) -> str:
    alarm_id = message.get("alarm_id")
    if set(message) != {"alarm_id"} or not isinstance(alarm_id, str) or not re.fullmatch(r"al-[0-9]{4}", alarm_id):
        raise BadMessage(f"not a message for {JOB}: {message!r}")
    return alarm_id


async def begin(db: str, alarm_id: str) -> tuple[int, Alarm]:
    async with UnitOfWork(db) as uow:
        alarm = await uow.alarms.get(alarm_id)
        if alarm is None:
            raise UnknownAlarm(alarm_id)
        attempt = 0 if alarm.settled else await uow.attempts.count(alarm_id)
        await uow.commit()
    return attempt, alarm


async def deliver(db: str, alarm: Alarm, receipt: str) -> None:
    async with UnitOfWork(db) as uow:
        await uow.receipts.keep(alarm.id, receipt)
        await uow.alarms.set_state(alarm.id, "delivered")
        # should another delivery have given up in the meantime
        await uow.undelivered.withdraw(JOB, alarm.id)
        await uow.commit()


async def give_up(db: str, message: dict[str, Any], exc: Exception, log: JobLog) -> str:
    try:
        ref = read(message)
    except BadMessage:
        text = json.dumps(message, sort_keys=True, default=repr)
        ref = "sha1:" + hashlib.sha1(text.encode()).hexdigest()
    async with UnitOfWork(db) as uow:
        alarm = await uow.alarms.get(ref)
        if alarm is not None and alarm.state == "delivered":
            log.info("another delivery of this job has got through, after: %r", exc)
            return "delivered"
        if alarm is not None:
            await uow.alarms.set_state(ref, "undelivered")
        await uow.undelivered.note(JOB, ref, message, f"{type(exc).__name__}: {exc}")
        await uow.commit()
    log.error("failed for good, noted in undelivered as %s: %r", ref, exc)
    return "undelivered"
