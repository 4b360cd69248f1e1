import logging
from datetime import datetime, timezone

from labtrack.db import UnitOfWork
from labtrack.log import JobLog
from labtrack.queue import publisher

log = logging.getLogger("labtrack.outbox")


def flush():
    """Publish what waits in the outbox.

    Killed between publishing and committing, an entry is published again: the jobs bear that.
    """
    published = 0
    with publisher().open() as queue:
        while True:
            with UnitOfWork() as uow:
                entry = uow.outbox.next()
                if entry is None:
                    return published
                queue.configure_task(entry["task"], queue="reports").defer(**entry["message"])
                uow.outbox.mark_sent(entry["id"], datetime.now(timezone.utc))
                uow.commit()
            JobLog(log, {"task": entry["task"], "job_message": entry["message"]}).info("published")
            published += 1
