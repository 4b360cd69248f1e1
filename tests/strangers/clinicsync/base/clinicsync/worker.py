"""arq clinicsync.worker.WorkerSettings"""
import functools
import sqlite3
import sys
from typing import Annotated
from zoneinfo import ZoneInfo

from arq import Retry, cron, func
from arq.connections import RedisSettings
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clinicsync import ledger, planner
from clinicsync.config import settings
from clinicsync.sms import SmsClient, SmsUnavailable


class ReminderMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    appointment_id: int = Field(ge=1)
    day: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


def job(model: type[BaseModel]):
    """Validates the message, tells the log how it went, buries what fails for good."""

    def wrap(fn):
        @functools.wraps(fn)
        async def run(ctx, *args, **message):
            if args:
                message["args"] = args
            parsed = None
            who = {"job": fn.__name__, "job_id": ctx["job_id"], "try": ctx["job_try"], "message": message}
            with logger.contextualize(**who):
                logger.info("{} {} started", fn.__name__, message)
                try:
                    parsed = model.model_validate(message)
                    outcome = await fn(ctx, parsed)
                except Retry as exc:
                    logger.warning(
                        "{} {} again in {}s: {!r}", fn.__name__, message, exc.defer_score / 1000, exc.__cause__
                    )
                    raise
                except Exception as exc:
                    logger.error("{} {} failed for good: {!r}", fn.__name__, message, exc)
                    await ledger.bury(fn.__name__, ctx["job_id"], message, parsed, repr(exc)[:500], ctx["job_try"])
                    raise
                logger.success("{} {} done: {}", fn.__name__, message, outcome)
                return outcome

        return run

    return wrap


@job(ReminderMessage)
async def send_reminder(ctx, message: ReminderMessage) -> str:
    try:
        claim = await ledger.claim(message.appointment_id, message.day)
        if isinstance(claim, str):
            return claim
        try:
            sms_id = await ctx["sms"].send(to=claim.to, text=claim.text, client_ref=claim.client_ref)
        except SmsUnavailable as exc:
            if claim.attempt >= ledger.MAX_ATTEMPTS:
                raise
            raise Retry(defer=30 * claim.attempt) from exc
        await ledger.sent(message.appointment_id, message.day, sms_id)
        return f"sent as {sms_id}"
    except sqlite3.OperationalError as exc:  # database is locked
        if ctx["job_try"] >= 10:
            raise
        raise Retry(defer=30) from exc


async def publish_reminders(ctx):
    return await planner.publish_planned()


async def sweep_tomorrow(ctx):
    return await planner.plan_tomorrow()


async def rescue_reminders(ctx):
    return await planner.rescue_stuck()


async def startup(ctx):
    logger.remove()
    logger.add(sys.stderr, serialize=True, level=settings().log_level)
    ctx["sms"] = SmsClient()


async def shutdown(ctx):
    await ctx["sms"].aclose()


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(settings().redis_dsn)
    on_startup = startup
    on_shutdown = shutdown
    timezone = ZoneInfo(settings().timezone)
    job_timeout = 60
    # We count attempts in the reminder's row. arq's own limit must not come first:
    # it drops a job without asking us.
    functions = [func(send_reminder, max_tries=50, keep_result=0)]
    cron_jobs = [
        cron(publish_reminders, second=0),
        cron(sweep_tomorrow, hour={17, 19}, minute=0),
        cron(rescue_reminders, minute=set(range(0, 60, 10))),
    ]
    keep_result = 0
