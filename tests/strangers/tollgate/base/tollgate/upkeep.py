"""Brings back what stands still."""
import asyncio
import logging

import procrastinate
from procrastinate.jobs import Status

from tollgate import charges
from tollgate.charging import MAX_ATTEMPTS, subject_of
from tollgate.db import connect
from tollgate.queue import app
from tollgate.settings import settings

log = logging.getLogger(__name__)

# Charge and job commit together and the job outlives its worker, so this finds little: jobs that
# somebody deleted, or that failed while their refusal could not be written either.
FORGOTTEN = """
select c.passage_ref from charges c
where c.status = 'open' and not exists (
    select from procrastinate_jobs j
    where j.task_name = 'charge_passage' and j.status in ('todo', 'doing')
      and j.args ->> 'passage_ref' = c.passage_ref)
order by 1
"""


@app.periodic(cron="* * * * *")
@app.task(name="upkeep", queue="upkeep", queueing_lock="upkeep")
def upkeep(timestamp: int) -> None:
    rescue()


def rescue() -> None:
    asyncio.run(_rescue())


async def _rescue() -> None:
    # With a pool of its own: that of the worker belongs to another event loop.
    own = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=settings().dsn))
    async with own.open_async():
        for job in await own.job_manager.get_stalled_jobs(task_name="charge_passage"):
            await _rescue_stalled(own, job)
        with connect() as conn:
            forgotten = conn.execute(FORGOTTEN).fetchall()
        for row in forgotten:
            job_id = await own.configure_task("charge_passage", queue="charges").defer_async(
                passage_ref=row["passage_ref"]
            )
            log.warning("Forgotten charge ordered again", extra={**row, "job_id": job_id})


async def _rescue_stalled(own: procrastinate.App, job) -> None:
    subject = subject_of(job.task_kwargs)
    about = {"job_id": job.id, "passage_ref": subject, "attempt": job.attempts + 1}
    if job.attempts + 1 < MAX_ATTEMPTS:
        await own.job_manager.retry_job(job)
        log.warning("Worker of a charge was lost, to be retried", extra=about)
        return
    detail = "each of its workers was lost; ask the bank for the reference"
    with connect() as conn:
        charges.refuse(conn, subject, "GAVE-UP", detail, job.attempts + 1)
    await own.job_manager.finish_job(job, Status.FAILED, delete_job=False)
    log.error("Charge failed for good, see refusals", extra={**about, "reason": detail})
