import asyncio
import os
import uuid

from arq import Retry, create_pool, func
from arq.connections import RedisSettings

from syncer import receiver, store

MAX_TRIES = 4
redis_settings = RedisSettings.from_dsn(os.environ.get("SYNCER_REDIS", "redis://localhost:6379"))


async def sync_target(ctx, message):
    target = message.get("target")
    cursor = store.cursor_of(target) if set(message) == {"target"} and isinstance(target, str) else None
    if cursor is None:
        return store.bury(message, "unknown target")
    run = uuid.uuid4().hex
    number = 0
    try:
        while rows := store.page(cursor):
            number += 1
            await receiver.push(target, rows, f"{run}-{number}")
            cursor = rows[-1][0]
        store.move_cursor(target, cursor)
    except receiver.ReceiverError as error:
        if ctx["job_try"] >= MAX_TRIES:
            return store.bury(message, "receiver error")
        raise Retry(defer=30 * ctx["job_try"]) from error
    return None


def sync_soon(target):
    async def publish():
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("sync_target", {"target": target})
        await pool.aclose()

    asyncio.run(publish())


class WorkerSettings:
    functions = [func(sync_target, max_tries=MAX_TRIES)]
    redis_settings = redis_settings
