import hashlib
import json
from datetime import timedelta

import psycopg
from loguru import logger
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from pydantic import ValidationError

from lagerhaus import announcing, floor, logs  # noqa: F401
from lagerhaus.carrier import CarrierBusy
from lagerhaus.commands import AnnounceShipment
from lagerhaus.queue import app

MAX_ATTEMPTS = 5
PASSING = (CarrierBusy, psycopg.OperationalError)


class Unreadable(Exception):
    """The message is no command of ours."""


class Patience(BaseRetryStrategy):
    """20 s, 1 min, 3 min, then 5 min; only for what may pass."""

    def get_retry_decision(self, *, exception, job):
        if not isinstance(exception, PASSING) or job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": min(20 * 3**job.attempts, 300)})


@app.task(name="announce_shipment", queue="carrier", pass_context=True, retry=Patience())
def announce_shipment(context: JobContext, **message):
    attempt = context.job.attempts + 1
    key = key_of(message)
    log = logger.bind(job=announcing.TASK, job_id=context.job.id, key=key, attempt=attempt)
    log.info("started")
    try:
        outcome = announcing.announce(read(message))
    except PASSING as exc:
        if attempt < MAX_ATTEMPTS:
            log.warning("failed, will be tried again: {}", reason_of(exc))
            raise
        if give_up(log, key, message, exc):
            raise
    except Exception as exc:
        if give_up(log, key, message, exc):
            raise
    else:
        log.info(outcome)


def give_up(log, key: str, message: dict, exc: Exception) -> bool:
    if announcing.bury(key, message, reason_of(exc)):
        log.error("given up, see dead_letters: {}", reason_of(exc))
        return True
    log.info("nothing to give up, another delivery got through; this one: {}", reason_of(exc))
    return False


def read(message: dict) -> AnnounceShipment:
    try:
        return AnnounceShipment.model_validate(message)
    except ValidationError as exc:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in exc.errors()}))
        raise Unreadable(f"wrong or missing: {fields}") from None


def key_of(message: dict) -> str:
    try:
        return read(message).shipment_no
    except Unreadable:
        text = json.dumps(message, sort_keys=True)
        return "unreadable-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def reason_of(exc: Exception) -> str:
    if isinstance(exc, psycopg.Error):  # its text may quote the row
        return f"{type(exc).__name__} {exc.sqlstate or 'no sqlstate'}"
    return f"{type(exc).__name__}: {exc}"


@app.periodic(cron="*/20 * * * *")
@app.task(name="chase_released", queue="upkeep")
def chase_released(timestamp: int):
    floor.chase()


@app.periodic(cron="*/5 * * * *")
@app.task(name="rescue_stalled", queue="upkeep")
async def rescue_stalled(timestamp: int):
    """Jobs whose worker does not send heartbeats any more."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=120):
        logger.bind(job=job.task_name, job_id=job.id, attempt=job.attempts + 1).warning("worker lost, back to the queue")
        await app.job_manager.retry_job(job)


assert timedelta(seconds=300) < floor.STALE, "a job that waits for its next attempt has not stalled"
