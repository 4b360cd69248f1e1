import hashlib
import json
from typing import Any

import psycopg
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.jobs import Job
from pydantic import ValidationError

from statements import report, storage, store
from statements.app import app
from statements.log import get_logger
from statements.model import StatementRequest
from statements.settings import settings

logger = get_logger(__name__)


class Again(Exception):
    def __init__(self, reason: str, wait_s: int) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class WhenAsked(BaseRetryStrategy):
    """Another attempt where the task asks for one; how often it may, the task knows."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, Again):
            return RetryDecision(retry_in={"seconds": exception.wait_s})
        return None


def wait_s(attempt: int) -> int:
    return min(10 * 4 ** (attempt - 1), 600)


@app.task(name="produce_statement", queue="statements", retry=WhenAsked(), pass_context=True)
async def produce_statement(context: JobContext, **message: Any) -> str:
    """One statement. Errors of our own database get here: they may pass, and if not, the request is still pending."""
    delivery = context.job.attempts + 1
    log = logger.bind(job=store.JOB, job_id=context.job.id)
    try:
        return await _produce(message, log)
    except psycopg.OperationalError as error:
        log = log.bind(attempt=delivery, reason=repr(error), **message)
        if delivery >= settings.max_attempts:
            log.error("statement.interrupted", result="left_to_sweep")
            raise
        log.warning("statement.interrupted", result="retry")
        raise Again(repr(error), wait_s(delivery)) from error


async def _produce(message: dict[str, Any], log: Any) -> str:
    try:
        request = StatementRequest.model_validate(message)
    except ValidationError as error:
        reason = f"invalid message: {error.errors(include_url=False, include_input=False)}"
        await store.reject(message, json.dumps(message, sort_keys=True, default=str), reason)
        log.error("statement.dead", attempt=1, message=message, result="dead", reason=reason)
        return "dead"

    log = log.bind(account_id=request.account_id, period=request.period)
    attempt = await store.begin(request)
    if attempt is None:
        await store.reject(message, request.key, "nobody asked for it")
        log.error("statement.dead", attempt=1, result="dead", reason="nobody asked for it")
        return "dead"
    log = log.bind(attempt=attempt.number)
    if attempt.status != "pending":
        log.info("statement.skipped", result="skipped", reason=f"is {attempt.status}")
        return attempt.status
    if attempt.number > settings.max_attempts:
        return await _give_up(request, settings.max_attempts, "the last attempt ended without a word", log)

    log.info("statement.started", result="started")
    body = report.render(request, await store.entries(request))
    try:
        await storage.put_report(request.object_key, body)
    except Exception as error:
        reason = repr(error)
        if storage.is_final(error) or attempt.number == settings.max_attempts:
            return await _give_up(request, attempt.number, reason, log)
        wait = wait_s(attempt.number)
        await store.failed(request, reason, wait)
        log.warning("statement.failed", result="retry", reason=reason, wait_s=wait)
        raise Again(reason, wait) from error

    if await store.finish(request, hashlib.sha256(body).hexdigest()):
        log.info("statement.done", result="done", object_key=request.object_key)
    else:
        log.info("statement.skipped", result="skipped", reason="another delivery was faster")
    return "done"


async def _give_up(request: StatementRequest, attempts: int, reason: str, log: Any) -> str:
    if not await store.give_up(request, attempts, reason):
        log.info("statement.skipped", result="skipped", reason=f"ended meanwhile; else: {reason}")
        return "skipped"
    log.error("statement.dead", result="dead", reason=reason)
    return "dead"


@app.periodic(cron="*/15 * * * *")
@app.task(name="bring_back", queue="statements", queueing_lock="bring_back")
async def bring_back_task(timestamp: int) -> int:
    from statements.sweep import bring_back

    return await bring_back()
