"""taskiq's broker, its scheduler, and what happens to a task that failed."""

import sqlite3

from taskiq import SmartRetryMiddleware, TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq.serializers import JSONSerializer
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from hooks.dead import DeadLetterMiddleware
from hooks.errors import RetryLater
from hooks.settings import settings

# Locked, disk full, the volume is away: of our own store, and it may pass.
RETRYABLE = (RetryLater, sqlite3.OperationalError)

retries = ListRedisScheduleSource(settings.redis_url, prefix="hooks-retries", serializer=JSONSerializer())

broker = RedisStreamBroker(
    settings.redis_url,
    queue_name="hooks",
    consumer_group_name="hooks",
    consumer_id="0",  # from the first message on, also from those that were sent before the first worker came
    idle_timeout=120_000,  # a delivery takes 20 seconds at most; who has been at it for two minutes is dead
    unacknowledged_lock_timeout=30,  # else a worker that dies with the lock keeps all others from claiming
    maxlen=200_000,  # what is trimmed unread, the sweep sends again
).with_middlewares(
    SmartRetryMiddleware(
        default_retry_count=settings.max_attempts,
        default_delay=settings.retry_step_s,
        use_delay_exponent=True,  # taskiq's word for: times the number of the retry
        max_delay_exponent=settings.retry_cap_s,
        schedule_source=retries,
        types_of_exceptions=RETRYABLE,
    ),
    DeadLetterMiddleware(retryable=RETRYABLE),
)

scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker), retries])
