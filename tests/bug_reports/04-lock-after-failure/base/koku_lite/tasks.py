import contextlib
import json
import os
import sqlite3

from celery import Celery
from celery.utils.log import get_task_logger

from koku_lite import cache, database, provider

log = get_task_logger(__name__)
app = Celery("koku", broker=os.environ.get("KOKU_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def bury(message, error):
    with contextlib.closing(database.connect()) as db, db:
        db.execute("insert or ignore into dead_letters values (?, ?)", (json.dumps(message, sort_keys=True), error))


@app.task(bind=True, name="summarize", max_retries=3)
def summarize(self, message):
    fields = message if isinstance(message, dict) else {}
    if set(fields) != {"provider", "month"} or not all(isinstance(value, str) for value in fields.values()):
        return bury(message, "malformed")
    source, month = fields["provider"], fields["month"]
    name = f"summary:{source}:{month}"
    try:
        with contextlib.closing(database.connect()) as db:
            if not cache.take(db, name):
                log.info("%s is already in progress", name)
                return None
            cost = sum(item["cost"] for item in provider.line_items(source, month))
            db.execute("insert or replace into summaries values (?, ?, ?)", (source, month, cost))
            cache.release(db, name)
    except (provider.ProviderError, sqlite3.OperationalError) as error:
        if self.request.retries >= self.max_retries:
            return bury(message, type(error).__name__)
        raise self.retry(exc=error, countdown=60)


def report_arrived(provider, month):
    summarize.delay({"provider": provider, "month": month})
