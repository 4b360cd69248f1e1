import hashlib
import json
import re
import sqlite3
import time

from loguru import logger
from redis.exceptions import RedisError
from taskiq import SmartRetryMiddleware, TaskiqEvents, TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from streambox import webhooks
from streambox.db import add_dead_letter, add_delivery, event_id, one, transaction
from streambox.log import setup_logging
from streambox.settings import settings
from streambox.tokens import Busy, token
from streambox.webhooks import WebhookDown

retries = ListRedisScheduleSource(settings.redis, prefix="retries")
# consumer_id=0: what was published before the first worker came up must not be skipped.
# Messages of dead workers are taken over after two minutes.
broker = RedisStreamBroker(
    settings.redis, queue_name="streambox", consumer_id="0", maxlen=100_000,
    idle_timeout=120_000, unacknowledged_lock_timeout=30,
).with_middlewares(
    SmartRetryMiddleware(
        default_retry_count=settings.max_attempts,
        default_delay=settings.retry_delay,
        use_delay_exponent=True,  # in fact: delay times the number of the retry
        max_delay_exponent=600,
        schedule_source=retries,
        types_of_exceptions=(WebhookDown, Busy, RedisError, sqlite3.OperationalError),
    ),
)
scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker), retries])

EVENTS = {"video.ready": "ready", "video.failed": "failed"}
DELIVERY = """
select d.*, c.webhook_url, c.secret from deliveries d
    join videos v on v.id = d.video_id join customers c on c.id = v.customer_id
where d.event_id = ?
"""


class BadMessage(Exception):
    pass


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def on_startup(state):
    setup_logging()


@broker.task(task_name="deliver_webhook", retry_on_error=True)
async def deliver_webhook(video_id=None, event=None, **rest):
    message = {"video_id": video_id, "event": event, **rest}
    try:
        delivery = await load(video_id, event, rest)
    except BadMessage as e:
        ref = "msg_" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]
        async with transaction() as db:
            await add_dead_letter(db, ref, message, f"bad message: {e}")
        logger.bind(job=ref).error("webhook failed, bad message: {}", e)
        return "bad message"

    log = logger.bind(job=delivery["event_id"], video=video_id, event=event)
    if delivery["status"] != "pending":
        log.info("webhook skipped, it is {}", delivery["status"])
        return delivery["status"]
    try:
        async with token(delivery["event_id"]):
            return await deliver(delivery, message, log)
    except Busy:
        log.info("webhook put off, another worker holds its token")
        raise


async def deliver(delivery, message, log):
    attempt = await begin(delivery)
    if attempt is None:
        log.info("webhook skipped, it was settled meanwhile")
        return "skipped"
    if attempt > settings.max_attempts:
        await give_up(delivery, message, f"stopped {settings.max_attempts} times without a result", log)
        return "failed"
    log = log.bind(attempt=attempt)
    log.info("webhook started")
    try:
        await webhooks.post_webhook(
            url=delivery["webhook_url"], secret=delivery["secret"],
            event_id=delivery["event_id"], body=delivery["body"])
        await finish(delivery, log)
    except (WebhookDown, sqlite3.OperationalError) as e:
        if attempt < settings.max_attempts:
            log.warning("webhook will be retried: {}: {}", type(e).__name__, e)
            raise
        await give_up(delivery, message, f"out of attempts, last error {type(e).__name__}: {e}", log)
        return "failed"
    except Exception as e:
        await give_up(delivery, message, f"{type(e).__name__}: {e}", log)
        return "failed"
    return "delivered"


async def load(video_id, event, rest):
    if rest:
        raise BadMessage(f"unknown fields {sorted(rest)}")
    if not isinstance(video_id, str) or not re.fullmatch(r"vid_[0-9a-z]{6}", video_id):
        raise BadMessage("video_id")
    if not isinstance(event, str) or event not in EVENTS:
        raise BadMessage("event")
    async with transaction() as db:
        video = await one(db, "select * from videos where id = ?", video_id)
        if video is None:
            raise BadMessage("no such video")
        delivery = await one(db, DELIVERY, event_id(video_id, event))
        if delivery is None:
            if video["status"] != EVENTS[event]:
                raise BadMessage(f"video is {video['status']}")
            await add_delivery(db, video, event)
            delivery = await one(db, DELIVERY, event_id(video_id, event))
        return delivery


async def begin(delivery):
    """Counts the attempt before anything is sent, so that dying counts as well."""
    async with transaction() as db:
        return await scalar(
            db, "update deliveries set attempts = attempts + 1, touched_at = ?, published_at = coalesce(published_at, ?)"
                " where event_id = ? and status = 'pending' returning attempts",
            time.time(), time.time(), delivery["event_id"])


async def finish(delivery, log):
    async with transaction() as db:
        done = await scalar(
            db, "update deliveries set status = 'delivered', touched_at = ?"
                " where event_id = ? and status in ('pending', 'failed') returning 1",
            time.time(), delivery["event_id"])
        if done:
            await db.execute("delete from dead_letters where ref = ?", (delivery["event_id"],))
    if done:
        log.success("webhook delivered")
    else:
        log.warning("webhook delivered, but it had been cancelled meanwhile")


async def give_up(delivery, message, reason, log):
    async with transaction() as db:
        closed = await scalar(
            db, "update deliveries set status = 'failed', touched_at = ?"
                " where event_id = ? and status = 'pending' returning 1", time.time(), delivery["event_id"])
        if closed:
            await add_dead_letter(db, delivery["event_id"], message, reason)
    if closed:
        log.error("webhook failed: {}", reason)


async def scalar(db, sql, *args):
    row = await one(db, sql, *args)
    return row[0] if row else None


@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])
async def sweep():
    from streambox import sweeps

    await sweeps.publish_pending()
    await sweeps.requeue_stalled()
