"""The cron job that brings back alarms whose push job is gone (redis restarted, SAQ dropped it)."""

import logging
from typing import Any

from saq import Queue

from sensorhub.config import Config
from sensorhub.queueing import open_queue, publish_push
from sensorhub.storage import UnitOfWork

log = logging.getLogger(__name__)


async def _resend(db: str, queue: Queue) -> int:
    async with UnitOfWork(db) as uow:
        alarm_ids = await uow.alarms.dispatched()
    sent = 0
    for alarm_id in alarm_ids:
        # a job that is queued, waiting or running has the key still: nothing happens then
        if await publish_push(queue, alarm_id):
            log.warning("alarm %s had no job any more, published again", alarm_id)
            sent += 1
    return sent


async def resend_stuck(ctx: dict[str, Any]) -> int:
    return await _resend(ctx["db"], ctx["worker"].queue)


async def resend_stuck_alarms() -> int:
    """The same for the command line and for incidents."""
    async with open_queue() as queue:
        return await _resend(Config.from_env().db, queue)
