"""arq pocketline.worker.WorkerSettings"""
from arq import cron, func
from arq.connections import RedisSettings

from .activation import activate_esim
from .orders import requeue_requested
from .settings import settings


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(settings.redis_url)
    functions = [
        # One try more than we make: arq fails a job with more tries than this without
        # calling us, and then nobody would write down that it was given up.
        # No results are kept: their ids would bar the way for a revived order.
        func(activate_esim, max_tries=settings.max_attempts + 1, keep_result=0, timeout=120),
    ]
    cron_jobs = [cron(requeue_requested, minute=set(range(0, 60, 10)), keep_result=0)]
    max_jobs = 20
