"""What the office does with boxes, and how it reaches the queue."""

import logging
from uuid import uuid4

from saq import Queue
from sqlalchemy import select, update

from plantbox import boxes
from plantbox.config import config
from plantbox.models import Box, Subscriber, transaction

logger = logging.getLogger("plantbox.shipping")


def make_queue() -> Queue:
    return Queue.from_url(config.redis_url, name="plantbox")


async def release_box(box_id: int) -> bool:
    """The plants are ready. The parcel goes where the subscriber lives today. False if it is released."""
    async with transaction() as session:
        subscriber = await session.scalar(
            select(Subscriber).join(Box, Box.subscriber_id == Subscriber.id).where(Box.id == box_id)
        )
        if subscriber is None:
            raise boxes.UnknownBox(str(box_id))
        released = await session.execute(
            update(Box)
            .where(Box.id == box_id, Box.status == "planned")
            .values(
                status="released",
                ship_to={"name": subscriber.name, "street": subscriber.street, "town": subscriber.town},
            )
        )
        if released.rowcount == 0:
            return False
    await publish(box_id)
    return True


async def publish(box_id: int) -> bool:
    # SAQ ignores a job whose key it knows; so each publication has its own
    key = f"{boxes.JOB}:{box_id}:{uuid4().hex[:8]}"
    extra = {"job": boxes.JOB, "job_id": key, "key": box_id}
    queue = make_queue()
    try:
        await queue.enqueue(
            boxes.JOB,
            key=key,
            box_id=box_id,
            timeout=config.job_timeout,
            # The job counts for itself and gives up first, with a record; SAQ gives up without one.
            retries=config.max_attempts + 3,
            retry_delay=config.retry_delay,
            retry_backoff=config.retry_cap,
        )
    except Exception as exc:
        logger.warning(
            "not published, left to the sweep", extra={**extra, "outcome": "unpublished", "reason": repr(exc)}
        )
        return False
    finally:
        await queue.disconnect()
    await boxes.published(box_id)
    logger.info("published", extra={**extra, "outcome": "published"})
    return True
