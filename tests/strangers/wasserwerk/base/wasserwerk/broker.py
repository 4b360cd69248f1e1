import logging
from dataclasses import replace

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError

from . import config

log = logging.getLogger("wasserwerk.broker")


def redis_settings() -> RedisSettings:
    return replace(RedisSettings.from_dsn(config.redis_url()), conn_retries=1, conn_timeout=3)


async def publish(*bill_ids: int, pool: ArqRedis | None = None) -> bool:
    """A bill that waits in the queue is left alone there: its job id is taken. False if Redis is away."""
    own = None
    try:
        if pool is None:
            pool = own = await create_pool(redis_settings())
        for bill_id in bill_ids:
            await pool.enqueue_job("send_bill", bill_id=bill_id, _job_id=f"bill-{bill_id}")
        return True
    except (RedisError, OSError) as error:
        log.warning("not queued", extra={"job": "send_bill", "outcome": "not-queued", "key": list(bill_ids),
                                         "attempt": 0, "error": type(error).__name__})
        return False
    finally:
        if own is not None:
            await own.aclose()
