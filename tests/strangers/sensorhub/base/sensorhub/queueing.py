from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue

from sensorhub.config import Config
from sensorhub.push import MAX_ATTEMPTS


def make_queue() -> Queue:
    return Queue.from_url(Config.from_env().redis, name="sensorhub")


@asynccontextmanager
async def open_queue() -> AsyncIterator[Queue]:
    queue = make_queue()
    await queue.connect()
    try:
        yield queue
    finally:
        await queue.disconnect()


async def publish_push(queue: Queue, alarm_id: str) -> bool:
    """False if a job for this alarm is under way: SAQ keeps one per key."""
    job = await queue.enqueue(
        "push_alarm",
        alarm_id=alarm_id,
        key=f"push_alarm:{alarm_id}",
        timeout=120,
        # SAQ drops a job silently after that; push_alarm gives up earlier, with a record
        retries=MAX_ATTEMPTS + 4,
        retry_delay=5.0,
        retry_backoff=120.0,
    )
    return job is not None
