import asyncio
import os
from datetime import datetime, timezone

from saq import Queue

from sources import db, reader

JOB_OPTIONS = {"retries": 4, "retry_delay": 30.0, "timeout": 120}


async def sync_source(ctx, **message):
    source = message.get("source")
    row = db.last_sync(source) if set(message) == {"source"} and isinstance(source, str) else None
    if row is None:
        return db.bury(message, "unknown source")
    since = row[0]
    try:
        items = await reader.changes(source, since)
        db.save(source, [item for item in items if item["updated_at"] > since])
    except reader.SourceDown:
        job = ctx["job"]
        if job.attempts >= job.retries:
            return db.bury(message, "source down")
        raise
    finally:
        db.touch(source, datetime.now(timezone.utc).isoformat())
    return None


def queue():
    return Queue.from_url(os.environ.get("SOURCES_REDIS", "redis://localhost:6379"))


def changed(source):
    async def publish():
        jobs = queue()
        await jobs.connect()
        await jobs.enqueue("sync_source", source=source, **JOB_OPTIONS)
        await jobs.disconnect()

    asyncio.run(publish())


settings = {"queue": queue(), "functions": [sync_source], "concurrency": 2}
