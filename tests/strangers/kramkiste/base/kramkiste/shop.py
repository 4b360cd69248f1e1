import asyncio
import logging
import os
from datetime import datetime, timedelta, timezone

from arq import create_pool
from arq.connections import RedisSettings
from redis.exceptions import RedisError

from . import db

log = logging.getLogger("kramkiste")
STALE = timedelta(minutes=20)


async def sell(order_id):
    with db.tx() as c:
        sold = c.execute("update orders set status = 'sold' where id = ? and status = 'open'", (order_id,)).rowcount
        if sold:
            c.execute("insert into notices (order_id) values (?)", (order_id,))
    await _requeue_soon()


async def again(order_id):
    """After mending what a notice died of. What was ticked off stays so."""
    with db.tx() as c:
        c.execute(
            "update notices set status = 'open', attempts = 0, touched_at = null where order_id = ? and status = 'dead'",
            (order_id,),
        )
        c.execute("delete from dead_letters where job = 'notify-sale' and key = ?", (str(order_id),))
    await _requeue_soon()


async def requeue():
    """Enqueue notices that never were, or that have stood still."""
    stale = (datetime.now(timezone.utc) - STALE).isoformat(timespec="seconds")
    with db.tx() as c:
        due = c.execute(
            "select order_id from notices where status = 'open' and (touched_at is null or touched_at < ?)"
            " order by order_id",
            (stale,),
        ).fetchall()
    if not due:
        return
    pool = await create_pool(RedisSettings.from_dsn(os.environ.get("KRAMKISTE_REDIS", "redis://localhost")))
    try:
        for (order_id,) in due:
            await pool.enqueue_job("notify_sale", order_id=order_id, _job_id=f"sale-{order_id}")
            with db.tx() as c:
                c.execute("update notices set touched_at = ? where order_id = ?", (db.now(), order_id))
    finally:
        await pool.aclose()
    log.info(f"requeue: {len(due)} enqueued")


async def _requeue_soon():
    try:
        await requeue()
    except (RedisError, OSError, asyncio.TimeoutError) as e:
        log.warning(f"redis is away ({type(e).__name__}), requeue will see to it")
