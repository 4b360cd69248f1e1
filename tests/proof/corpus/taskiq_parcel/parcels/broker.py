"""The broker, its retries and its dead letters.

The worker is `taskiq worker parcels.broker:broker parcels.tasks`; `taskiq scheduler parcels.broker:scheduler
parcels.tasks` beside it sends the retries when they are due.
"""

import logging
import os
from contextlib import closing
from typing import Any

from taskiq import (
    NoResultError,
    SmartRetryMiddleware,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
    TaskiqScheduler,
)
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from parcels import carrier, db

log = logging.getLogger(__name__)
REDIS = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
RUNS = 4


class Outcomes(TaskiqMiddleware):
    """Says what becomes of a failure. It comes before the retries in the list, so `on_error` comes after theirs."""

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        parcel_id = message.kwargs.get("parcel_id")
        if isinstance(result.error, NoResultError):
            log.warning("announcement will be retried parcel=%s reason=%r", parcel_id, exception)
        else:
            give_up(parcel_id, repr(exception))


class Tripling(SmartRetryMiddleware):
    """Waits 5, 15, 45 s."""

    def make_delay(self, message: TaskiqMessage, retries: int) -> float:
        return 5 * 3 ** (retries - 1)


def give_up(parcel_id: object, reason: str) -> None:
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_announcements values (?, ?)", (str(parcel_id), reason))
    log.error("announcement given up parcel=%s reason=%s", parcel_id, reason)


due = ListRedisScheduleSource(REDIS)
broker = RedisStreamBroker(REDIS, idle_timeout=120_000).with_middlewares(
    Outcomes(),
    Tripling(
        default_retry_count=RUNS,
        default_retry_label=True,
        schedule_source=due,
        types_of_exceptions=(carrier.Unavailable, TimeoutError),
    ),
)
scheduler = TaskiqScheduler(broker, sources=[due])
