"""Enqueue again what was released and stood still."""
import logging
import time

from tilefactory import db, jobs, logs, release, settings

logger = logging.getLogger(__name__)


def requeue() -> list[int]:
    """Batches that were released and never enqueued, or whose message got lost."""
    connection = db.connect()
    try:
        rows = connection.execute(
            "select id, attempts from batches where status = 'ready' and"
            " ((released_at is not null and enqueued_at is null) or touched_at < ?) order by id",
            (time.time() - settings.STALE_AFTER,)).fetchall()
    finally:
        connection.close()
    brought_back = []
    for row in rows:
        log = logs.for_batch(logger, row["id"])
        if row["attempts"] >= settings.MAX_ATTEMPTS:
            jobs.give_up(log, row["id"], f"it stood still after {row['attempts']} attempts")
            continue
        log.warning("stood still after %d attempts, enqueued again", row["attempts"])
        release.enqueue(row["id"])
        brought_back.append(row["id"])
    return brought_back


if __name__ == "__main__":
    logs.configure()
    requeue()
