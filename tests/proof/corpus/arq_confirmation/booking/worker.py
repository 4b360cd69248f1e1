"""The worker: `arq booking.worker.WorkerSettings`."""

import os

from arq.connections import RedisSettings
from arq.worker import func

from booking.tasks import ATTEMPTS, confirm

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


class WorkerSettings:
    redis_settings = REDIS
    functions = [func(confirm, max_tries=ATTEMPTS + 5)]  # a death uses up a try: some are left for the dead letter
    job_timeout = 60
