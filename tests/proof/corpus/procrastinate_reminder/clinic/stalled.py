"""Gives back the jobs of workers that died: nothing else does."""

from procrastinate.jobs import Status

from clinic.queue import app

MOST = 20


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="retry_stalled")
async def retry_stalled(timestamp: int) -> None:
    for job in await app.job_manager.get_stalled_jobs():
        if job.attempts < MOST:
            await app.job_manager.retry_job(job)
        else:
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
