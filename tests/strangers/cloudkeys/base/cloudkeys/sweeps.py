"""Brings back requests whose message got lost (redis flushed, portal died before publishing)."""

import structlog
from arq import ArqRedis
from sqlalchemy import select

from cloudkeys.db import QUEUED, KeyRequest, Sessions, make_engine, make_sessions
from cloudkeys.queueing import open_redis, publish_provisioning

log = structlog.get_logger(__name__)


async def _republish(sessions: Sessions, redis: ArqRedis) -> int:
    async with sessions() as session:
        waiting = (
            await session.scalars(
                select(KeyRequest.id).where(KeyRequest.status == QUEUED).order_by(KeyRequest.created_at)
            )
        ).all()
    count = 0
    for request_id in waiting:
        # a job that is alive keeps its id, so this is for the lost ones only
        if await publish_provisioning(redis, request_id):
            log.warning("lost request published again", request_id=request_id)
            count += 1
    return count


async def sweep(ctx: dict) -> int:
    """The cron job of the worker."""
    return await _republish(ctx["sessions"], ctx["redis"])


async def republish_queued() -> int:
    """The same by hand."""
    engine = make_engine()
    try:
        async with open_redis() as redis:
            return await _republish(make_sessions(engine), redis)
    finally:
        await engine.dispose()
