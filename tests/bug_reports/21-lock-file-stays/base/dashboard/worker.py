import json
import os

from celery import Celery
from celery.utils.log import get_task_logger

from dashboard import db, locks, wiki

log = get_task_logger(__name__)
app = Celery("dashboard", broker=os.environ.get("DASHBOARD_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into dead_updates values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def known(slug):
    with db.connect() as con:
        return isinstance(slug, str) and con.execute("select 1 from courses where slug = ?", (slug,)).fetchone()


@app.task(bind=True, name="update-course", max_retries=3)
def update_course(self, message):
    if not isinstance(message, dict) or set(message) != {"slug"} or not known(message["slug"]):
        return bury(message, "unknown course")
    slug = message["slug"]
    try:
        with locks.only_one(f"course-{slug}") as ours:
            if not ours:
                log.info("%s is being updated already", slug)
                return None
            edits = wiki.count_edits(slug)
            with db.connect() as con:
                con.execute("update courses set edits = ? where slug = ?", (edits, slug))
    except wiki.ReplicaLagging as error:
        if self.request.retries >= self.max_retries:
            return bury(message, "replica lagging")
        raise self.retry(exc=error, countdown=90)
    return None


def schedule(slug):
    update_course.delay({"slug": slug})
