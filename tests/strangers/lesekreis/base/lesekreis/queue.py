from dataclasses import replace

import structlog
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

from .config import Config

log = structlog.get_logger()


def redis_settings() -> RedisSettings:
    return replace(RedisSettings.from_dsn(Config().redis), conn_retries=1, conn_timeout=3)


async def publish(renewal_ids: list[int], redis: ArqRedis | None = None) -> int:
    """Enqueue renewals. One that waits in the queue already is left alone: its job id is taken."""
    if not renewal_ids:
        return 0
    pool = redis if redis is not None else await create_pool(redis_settings())
    try:
        count = 0
        for renewal_id in renewal_ids:
            job = await pool.enqueue_job("renew", renewal_id=renewal_id, _job_id=f"renew:{renewal_id}")
            count += job is not None
        return count
    finally:
        if redis is None:
            await pool.aclose()
