from arq import create_pool
from arq.connections import RedisSettings

from clinic.settings import get_settings


def redis_settings() -> RedisSettings:
    settings = RedisSettings.from_dsn(get_settings().redis_url)
    settings.conn_retries = 1
    return settings


async def enqueue_confirmation(appointment_id: int) -> bool:
    """False: the job is waiting or running already."""
    redis = await create_pool(redis_settings())
    try:
        job = await redis.enqueue_job(
            "send_confirmation",
            {"appointment_id": appointment_id},
            _job_id=f"confirmation:{appointment_id}",
        )
    finally:
        await redis.aclose()
    return job is not None
