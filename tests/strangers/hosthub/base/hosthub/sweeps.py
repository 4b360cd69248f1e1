"""Servers that stood still."""
import time

import structlog

from hosthub import jobs, queues, servers
from hosthub.settings import get_settings

logger = structlog.get_logger("hosthub.sweeps")


async def rescue_stuck() -> list[int]:
    """Publish again what was not published, or whose message got lost; give up what has had its attempts."""
    rescued = []
    for server in await servers.stuck(time.time() - get_settings().stuck_after):
        log = logger.bind(job="provision-server", server_id=server.id, attempt=server.attempts)
        if server.last_attempt:
            await jobs.give_up(log, server, f"sweep-{server.id}-{server.version}",
                               f"stood still after {server.attempts} attempts")
            continue
        log.warning("provisioning_stood_still", status=server.status)
        await queues.publish(server.id)
        rescued.append(server.id)
    return rescued


async def rescue(ctx) -> None:
    """The same, as a job of SAQ's cron."""
    await rescue_stuck()
