from arq import cron
from arq.worker import func

from .config import JOB_TIMEOUT
from .jobs import renew
from .logs import configure
from .queue import redis_settings
from .sweeps import sweep


async def startup(ctx):
    configure()


class WorkerSettings:
    # No results are kept: a job id whose result lies around could not be enqueued again.
    # max_tries only has to be out of the way; the row allows six attempts.
    functions = [func(renew, name="renew", timeout=JOB_TIMEOUT, max_tries=100, keep_result=0)]
    cron_jobs = [cron(sweep, name="sweep", minute=set(range(0, 60, 5)), timeout=120)]
    on_startup = startup
    redis_settings = redis_settings()
    keep_result = 0
    job_timeout = JOB_TIMEOUT
    max_jobs = 20
