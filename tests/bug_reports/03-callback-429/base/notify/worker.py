import asyncio
import json
import os

from arq import Retry, create_pool, func
from arq.connections import RedisSettings

from notify import db, service

MAX_TRIES = 5
redis_settings = RedisSettings.from_dsn(os.environ.get("NOTIFY_REDIS", "redis://localhost:6379"))


async def service_callback(ctx, message):
    body = json.dumps(message, sort_keys=True)
    if not isinstance(message, dict) or set(message) != {"notification_id"} or not isinstance(message["notification_id"], str):
        db.give_up(body, "malformed")
        return
    row = db.load(message["notification_id"])
    if row is None:
        db.give_up(body, "unknown notification")
        return
    url, status, told = row
    if told:
        return
    try:
        await service.post_status(url, status, message["notification_id"])
    except service.CallbackRejected as error:
        passing = error.status >= 500
        if passing and ctx["job_try"] < MAX_TRIES:
            raise Retry(defer=300)
        db.give_up(body, str(error))
        return
    db.mark_told(message["notification_id"])


def request_callback(notification_id):
    async def publish():
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("service_callback", {"notification_id": notification_id})
        await pool.aclose()

    asyncio.run(publish())


class WorkerSettings:
    functions = [func(service_callback, max_tries=MAX_TRIES)]
    redis_settings = redis_settings
