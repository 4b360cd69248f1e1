"""arq wetterdienst.worker.WorkerSettings"""
from arq import cron

from .intake import redis_settings, sweep
from .publish import MAX_TRIES, publish_day


class WorkerSettings:
    functions = [publish_day]
    cron_jobs = [cron(sweep, minute={7, 37})]
    redis_settings = redis_settings()
    max_tries = MAX_TRIES
    max_jobs = 4
    job_timeout = 120
    keep_result = 0  # a kept result would block the job id for the sweep
