import time

from loguru import logger
from taskiq.exceptions import SendTaskError

from streambox.db import add_delivery, event_id, one, transaction
from streambox.tasks import EVENTS, deliver_webhook


async def transcoded(video_id, event="video.ready"):
    """The transcoder is done with a video, one way or the other."""
    async with transaction() as db:
        video = await one(db, "select * from videos where id = ?", video_id)
        if video is None:
            raise LookupError(video_id)
        await db.execute("update videos set status = ? where id = ?", (EVENTS[event], video_id))
        await add_delivery(db, video, event)
    await publish(video_id, event)


async def publish(video_id, event):
    """Only ever after the commit; what fails here is left to the sweep."""
    try:
        await deliver_webhook.kiq(video_id=video_id, event=event)
    except SendTaskError as e:
        logger.bind(job=event_id(video_id, event)).warning("webhook not published, left to the sweep: {}", e)
        return
    async with transaction() as db:
        await db.execute("update deliveries set published_at = coalesce(published_at, ?) where event_id = ?",
                         (time.time(), event_id(video_id, event)))


async def cancel_webhooks(video_id):
    """The video was deleted by its owner: nobody wants to hear of it any more."""
    async with transaction() as db:
        await db.execute("update deliveries set status = 'cancelled', touched_at = ?"
                         " where video_id = ? and status = 'pending'", (time.time(), video_id))
