import time

from loguru import logger

from streambox.db import connect, transaction
from streambox.settings import settings
from streambox.tasks import deliver_webhook, give_up
from streambox.videos import publish

STALLED = 15 * 60  # way over the longest delay (4 min) plus the takeover of a dead worker's message
TOO_OLD = 24 * 3600


async def rows(sql, *args):
    async with connect() as db:
        return await db.execute_fetchall(sql, args)


async def publish_pending():
    """Committed, but never published."""
    for d in await rows("select * from deliveries where status = 'pending' and published_at is null"):
        logger.bind(job=d["event_id"]).info("publishing a webhook that was left behind")
        await publish(d["video_id"], d["event"])


async def requeue_stalled():
    """Published, but nothing has happened for long."""
    now = time.time()
    for d in await rows("select * from deliveries where status = 'pending' and published_at is not null"
                        " and touched_at < ?", now - STALLED):
        log = logger.bind(job=d["event_id"], video=d["video_id"], event=d["event"], attempt=d["attempts"])
        message = {"video_id": d["video_id"], "event": d["event"]}
        if d["attempts"] >= settings.max_attempts:
            await give_up(d, message, f"stopped {d['attempts']} times without a result", log)
        elif d["created_at"] < now - TOO_OLD:
            await give_up(d, message, "not delivered within a day", log)
        else:
            log.warning("webhook stood still, publishing it again")
            await deliver_webhook.kiq(**message)
            async with transaction() as db:
                await db.execute("update deliveries set touched_at = ? where event_id = ? and status = 'pending'",
                                 (now, d["event_id"]))
