from uuid import uuid4

import structlog
from saq import Queue

from hosthub import servers
from hosthub.settings import get_settings

logger = structlog.get_logger("hosthub.queues")

NAME = "provisioning"


def make_queue() -> Queue:
    return Queue.from_url(get_settings().redis_url, name=NAME)


async def publish(server_id: int) -> None:
    settings = get_settings()
    # A key of its own for each publication: SAQ drops a job whose key it still knows.
    saq_key = f"server-{server_id}-{uuid4().hex[:8]}"
    queue = make_queue()
    try:
        await queue.enqueue(
            "provision_server", key=saq_key, server_id=server_id,
            retries=settings.max_attempts, retry_delay=settings.retry_delay,
            retry_backoff=settings.retry_cap, timeout=settings.job_timeout)
    finally:
        await queue.disconnect()
    await servers.queued_as(server_id, saq_key)
    logger.info("provisioning_published", job="provision-server", server_id=server_id, saq_key=saq_key)
