"""What the rest of the service calls, and the sweep."""
import asyncio
import logging
import os

from arq import create_pool
from arq.connections import RedisSettings
from redis.exceptions import RedisError

from . import jsonlog
from .days import Days
from .publish import ATTEMPTS

log = jsonlog.get("wetterdienst.intake")

# Longer than the longest wait between two attempts and the attempt itself.
STALE = 20 * 60


def redis_settings():
    return RedisSettings.from_dsn(os.environ.get("WETTER_REDIS", "redis://localhost:6379/0"))


async def close_day(station, day):
    if not await asyncio.to_thread(Days().close, station, day):
        return
    try:
        await _enqueue([(station, day)])
    except (RedisError, OSError, asyncio.TimeoutError) as error:
        log.warning("redis is away, left to the sweep", extra={
            "facts": {"key": f"{station}/{day}", "outcome": "not enqueued", "reason": type(error).__name__}})


async def sweep(ctx=None):
    """Bring back files whose message was lost; bury those that have had their attempts."""
    days = Days()
    lost = []
    for file in await asyncio.to_thread(days.standing_still, STALE):
        facts = {"job": "publish_day", "job_id": job_id(file.station, file.day), "key": file.key,
                 "attempt": file.starts}
        if file.starts >= ATTEMPTS:
            if await asyncio.to_thread(days.bury, file, facts["job_id"], "TooManyStarts: swept", file.starts):
                log.error("dead letter", extra={"facts": {**facts, "outcome": "dead letter"}})
        else:
            lost.append(file)
            log.warning("swept", extra={"facts": {**facts, "outcome": "enqueued again"}})
    if lost:
        await _enqueue([(file.station, file.day) for file in lost])
        for file in lost:
            await asyncio.to_thread(days.touch, file)


async def _enqueue(keys):
    pool = await create_pool(redis_settings())
    try:
        for station, day in keys:
            # The job id: what is queued already is not queued again.
            await pool.enqueue_job("publish_day", station=station, day=day, _job_id=job_id(station, day))
    finally:
        await pool.aclose()


def job_id(station, day):
    return f"publish:{station}:{day}"
