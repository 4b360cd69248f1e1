import json
import os

from celery import Celery

from tyr import db, services

app = Celery("tyr", broker=os.environ.get("TYR_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into dead_jobs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def build(job):
    services.acquire(job["instance"], f"job-{job['id']}")
    services.start_build(job["instance"], f"build-{job['id']}")
    with db.connect() as con:
        if con.execute("update jobs set state = 'done' where id = ?", (job["id"],)).rowcount:
            con.execute("update instances set builds = builds + 1 where name = ?", (job["instance"],))


@app.task(bind=True, name="build-data", max_retries=5)
def build_data(self, message):
    if not isinstance(message, dict) or set(message) != {"job_id"} or type(message["job_id"]) is not int:
        return bury(message, "malformed")
    with db.connect() as con:
        job = con.execute("select * from jobs where id = ?", (message["job_id"],)).fetchone()
    if job is None:
        return bury(message, "no such job")
    try:
        build(job)
        services.release(job["instance"], f"job-{job['id']}")
    except (services.LockServiceDown, services.BuildServiceDown) as error:
        if self.request.retries >= self.max_retries:
            return bury(message, type(error).__name__)
        raise self.retry(exc=error, countdown=30)
    return None


def data_arrived(job_id):
    build_data.delay({"job_id": job_id})
