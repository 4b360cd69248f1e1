"""What the rules engine calls."""

import logging

from sensorhub.config import Config
from sensorhub.queueing import open_queue, publish_push
from sensorhub.storage import UnitOfWork

log = logging.getLogger(__name__)


async def dispatch(alarm_id: str) -> None:
    """Have somebody paged for an alarm. May be called again; the cron job does the rest."""
    async with UnitOfWork(Config.from_env().db) as uow:
        alarm = await uow.alarms.get(alarm_id)
        if alarm is None:
            raise LookupError(alarm_id)
        if alarm.settled:
            return
        await uow.alarms.set_state(alarm_id, "dispatched")
        await uow.commit()
    async with open_queue() as queue:
        published = await publish_push(queue, alarm_id)
    log.info("alarm %s dispatched%s", alarm_id, "" if published else ", its job is under way")
