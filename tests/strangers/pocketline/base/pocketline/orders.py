"""Rows of orders, and who asks for an activation."""
import asyncio
import json
import sys

from arq import create_pool
from arq.connections import RedisSettings
from loguru import logger

from .db import transaction
from .settings import settings


class NoSuchOrder(Exception):
    pass


class NotPaid(Exception):
    pass


async def find(order_id):
    async with transaction() as db:
        async with db.execute("select * from orders where id = ?", (order_id,)) as cursor:
            order = await cursor.fetchone()
    if order is None:
        raise NoSuchOrder(order_id)
    return order


async def set_active(order_id):
    async with transaction() as db:
        await db.execute("update orders set active = 1 where id = ?", (order_id,))


async def set_told(order_id):
    async with transaction() as db:
        await db.execute("update orders set told = 1 where id = ?", (order_id,))


async def bury(job, message, reason):
    """One record per message, however often it is given up; none for an order that
    another delivery has brought to its end."""
    order_id = message.get("order_id")
    async with transaction() as db:
        if isinstance(order_id, str) and len(message) == 1:
            async with db.execute("select told from orders where id = ?", (order_id,)) as cursor:
                row = await cursor.fetchone()
            if row and row["told"]:
                return
            await db.execute("update orders set given_up = 1 where id = ?", (order_id,))
        await db.execute(
            "insert or ignore into dead_letters (job, message, reason) values (?, ?, ?)",
            (job, json.dumps(message, sort_keys=True, default=repr), reason),
        )


async def request_activation(order_id):
    """The webhook calls this, as often as the payment provider likes."""
    async with transaction() as db:
        cursor = await db.execute("update orders set requested = 1 where id = ? and paid = 1", (order_id,))
    if not cursor.rowcount:
        raise NotPaid(order_id)
    await _enqueue([order_id])


async def requeue_requested(ctx=None):
    """Cron, every ten minutes: whatever was asked for and has not ended. arq refuses
    the id of a job that still waits, runs or is to be retried, so only lost ones come back."""
    async with transaction() as db:
        async with db.execute(
            "select id from orders where requested = 1 and told = 0 and given_up = 0 order by id"
        ) as cursor:
            ids = [row["id"] async for row in cursor]
    back = await _enqueue(ids)
    if back:
        logger.warning("brought back {} of {} open orders: {}", len(back), len(ids), back)


async def revive(order_id):
    async with transaction() as db:
        await db.execute("update orders set given_up = 0, requested = 1 where id = ?", (order_id,))
        await db.execute(
            "delete from dead_letters where message = ?", (json.dumps({"order_id": order_id}),)
        )
    await _enqueue([order_id])


async def _enqueue(ids):
    if not ids:
        return []
    pool = await create_pool(RedisSettings.from_dsn(settings.redis_url))
    try:
        jobs = {
            id: await pool.enqueue_job("activate_esim", order_id=id, _job_id=f"activate:{id}") for id in ids
        }
    finally:
        await pool.aclose()
    return [id for id, job in jobs.items() if job]


if __name__ == "__main__":
    asyncio.run({"revive": revive, "request": request_activation}[sys.argv[1]](sys.argv[2]))
