import logging

from procrastinate.exceptions import ConnectorException

from pfandhaus import desk
from pfandhaus.queue import app

logger = logging.getLogger("pfandhaus.upkeep")


@app.periodic(cron="*/30 * * * *")
@app.task(name="queue_left_behind", queue="upkeep", queueing_lock="queue_left_behind")
def queue_left_behind(timestamp):
    desk.queue_left_behind()


@app.periodic(cron="*/5 * * * *")
@app.task(name="rescue_stalled", queue="upkeep", queueing_lock="rescue_stalled")
async def rescue_stalled(timestamp):
    """Jobs whose worker has died; one that cannot go back (its loan is queued anew) must not keep the others."""
    for job in await app.job_manager.get_stalled_jobs():
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException as exc:
            logger.warning("stalled job stays", extra={"job_id": job.id, "reason": type(exc).__name__})
        else:
            logger.warning("stalled job back in the queue", extra={"job_id": job.id})
