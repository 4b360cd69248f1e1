from functools import lru_cache

from django.conf import settings
from redis import Redis
from rq import Queue, Retry

MAX_ATTEMPTS = 5
WAITS = [60, 180, 540, 1620]  # seconds, before the second to the fifth attempt


@lru_cache
def connection():
    return Redis.from_url(settings.REDIS_URL)


def enqueue(run):
    """Put a run of the house on its queue, under its own id."""
    queue = Queue("shipping", connection=connection())
    return queue.enqueue(
        run.function,
        job_id=run.id,
        kwargs=run.message,
        retry=Retry(max=MAX_ATTEMPTS - 1, interval=WAITS),
        job_timeout=120,
        failure_ttl=7 * 24 * 3600,
    )
