"""Everything that is published goes through here, so that job ids are ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import ArqRedis, create_pool
from arq.connections import RedisSettings

from cloudkeys.settings import get_settings


def redis_settings() -> RedisSettings:
    return RedisSettings.from_dsn(get_settings().redis_url)


@asynccontextmanager
async def open_redis() -> AsyncIterator[ArqRedis]:
    redis = await create_pool(redis_settings())
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


async def publish_provisioning(redis: ArqRedis, request_id: str) -> bool:
    """False if the job is queued, waiting for its retry or running: arq knows the id.

    (The worker keeps no results, or arq would refuse the id for another hour.)
    """
    job = await redis.enqueue_job(
        "provision_key",
        {"request_id": request_id},
        _job_id=f"provision_key:{request_id}",
    )
    return job is not None
