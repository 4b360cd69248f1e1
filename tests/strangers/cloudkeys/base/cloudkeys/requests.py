"""What the portal calls."""

import secrets

import structlog
from sqlalchemy import select, update

from cloudkeys.db import NEW, QUEUED, KeyRequest, make_engine, make_sessions
from cloudkeys.queueing import open_redis, publish_provisioning

log = structlog.get_logger(__name__)


async def create(tenant: str, scope: str) -> str:
    request_id = f"kr_{secrets.token_hex(3)}"
    engine = make_engine()
    try:
        async with make_sessions(engine).begin() as session:
            session.add(KeyRequest(id=request_id, tenant=tenant, scope=scope, status=NEW))
    finally:
        await engine.dispose()
    return request_id


async def submit(request_id: str) -> None:
    """Queue a request. Harmless to call again; the sweep publishes what we do not get to."""
    engine = make_engine()
    try:
        async with make_sessions(engine).begin() as session:
            await session.execute(
                update(KeyRequest)
                .where(KeyRequest.id == request_id, KeyRequest.status == NEW)
                .values(status=QUEUED)
            )
            status = await session.scalar(select(KeyRequest.status).where(KeyRequest.id == request_id))
        if status is None:
            raise LookupError(request_id)
        # committed: from here on the worker, or the sweep, finds it
        if status == QUEUED:
            async with open_redis() as redis:
                published = await publish_provisioning(redis, request_id)
            log.info("request submitted", request_id=request_id, published=published)
    finally:
        await engine.dispose()
