"""Brings back what stands still."""

from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager

from statements import db, store
from statements.app import connector
from statements.log import get_logger
from statements.requests import defer
from statements.settings import settings

logger = get_logger(__name__)


async def bring_back() -> int:
    return await retry_orphans() + await requeue_stalled()


async def retry_orphans() -> int:
    """Jobs that are being done by a worker that is no more: Procrastinate leaves them so."""
    ours = connector()
    await ours.open_async()
    try:
        jobs = JobManager(ours)
        retried = 0
        for job in await jobs.get_stalled_jobs(task_name="produce_statement"):
            log = logger.bind(job=store.JOB, job_id=job.id, attempt=job.attempts + 1, **job.task_kwargs)
            try:
                await jobs.retry_job(job)
            except ConnectorException as error:
                # Somebody else did it, or the same statement waits in the queue anyway.
                log.info("statement.orphan_left", result="skipped", reason=repr(error.__cause__ or error))
                continue
            log.warning("statement.orphan_retried", result="requeued", reason="its worker shows no heartbeat")
            retried += 1
        return retried
    finally:
        await ours.close_async()


async def requeue_stalled() -> int:
    """Requests without a job: it failed over our own database, was aborted, or somebody cleaned the queue."""
    requeued = 0
    for request, attempts, requeues in await store.stalled(settings.stalled_after_s):
        log = logger.bind(job=store.JOB, account_id=request.account_id, period=request.period, attempt=attempts)
        if requeues >= settings.max_requeues:
            reason = f"brought back {requeues} times, without an outcome"
            if await store.give_up(request, attempts, reason):
                log.error("statement.dead", result="dead", reason=reason)
            continue
        async with db.transaction() as connection:
            if not await defer(connection, request):
                continue
            await connection.execute(
                "UPDATE statements SET requeues = requeues + 1, touched_at = %s WHERE account_id = %s AND period = %s",
                (db.now(), request.account_id, request.period),
            )
        log.warning("statement.requeued", result="requeued", reason="it had no job")
        requeued += 1
    return requeued
