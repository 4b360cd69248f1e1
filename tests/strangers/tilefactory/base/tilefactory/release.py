"""Release a batch: from now on it is to be built."""
import logging
import sys
import time

from redis import Redis
from rq import Callback, Queue, Retry

from tilefactory import db, logs, settings

logger = logging.getLogger(__name__)

QUEUE = "tiles"


def queue() -> Queue:
    return Queue(QUEUE, connection=Redis.from_url(settings.load().redis_url))


def release(batch_id: int) -> bool:
    """Release a batch that waits, or that was given up. False where there is nothing to release."""
    with db.transaction() as tx:
        changed = tx.execute(
            "update batches set status = 'ready', attempts = 0, released_at = ?, enqueued_at = null"
            " where id = ? and (status = 'dead' or (status = 'ready' and released_at is null))",
            (time.time(), batch_id))
        if changed.rowcount == 0:
            return False
    # If we die here, the sweep finds the batch: released, and not enqueued.
    enqueue(batch_id)
    return True


def enqueue(batch_id: int) -> None:
    queue().enqueue(
        "tilefactory.jobs.build_batch", {"batch_id": batch_id},
        retry=Retry(max=settings.MAX_ATTEMPTS - 1, interval=settings.RETRY_WAITS),
        on_failure=Callback("tilefactory.jobs.on_failure"),
        job_timeout=settings.JOB_TIMEOUT,
        description=f"build batch {batch_id}")
    with db.transaction() as tx:
        tx.execute("update batches set enqueued_at = ?, touched_at = ? where id = ?",
                   (time.time(), time.time(), batch_id))
    logs.for_batch(logger, batch_id).info("enqueued")


if __name__ == "__main__":
    logs.configure()
    sys.exit(0 if release(int(sys.argv[1])) else "nothing to release")
