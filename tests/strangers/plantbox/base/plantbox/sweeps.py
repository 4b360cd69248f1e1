import logging
import time
from typing import Any

from sqlalchemy import or_, select

from plantbox import boxes
from plantbox.config import config
from plantbox.models import Box, transaction
from plantbox.shipping import publish

logger = logging.getLogger("plantbox.sweeps")


async def requeue_released() -> int:
    """Boxes whose message was never published, or of which nothing has been seen for long."""
    async with transaction() as session:
        lying = (
            await session.execute(
                select(Box.id, Box.attempts)
                .where(
                    Box.status == "released",
                    or_(Box.published_at.is_(None), Box.seen_at < time.time() - config.stale_after),
                )
                .order_by(Box.id)
            )
        ).all()
    count = 0
    for box_id, attempts in lying:
        extra = {"job": boxes.JOB, "key": box_id, "attempt": attempts}
        if attempts >= config.max_attempts:
            if await boxes.bury({"box_id": box_id}, f"left lying after {attempts} attempts"):
                logger.error("given up", extra={**extra, "outcome": "dead"})
            continue
        logger.warning("a box was left lying", extra={**extra, "outcome": "requeued"})
        count += await publish(box_id)
    return count


async def sweep(ctx: dict[str, Any]) -> int:
    return await requeue_released()
