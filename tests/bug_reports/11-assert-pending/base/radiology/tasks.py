import asyncio
import json
import os

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.testing import InMemoryConnector

from radiology import db, llm

conninfo = os.environ.get("RADIOLOGY_QUEUE")
app = App(connector=PsycopgConnector(conninfo=conninfo) if conninfo else InMemoryConnector())
RETRIES = 3


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into failed_tasks values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def status_of(task_id):
    with db.connect() as con:
        return con.execute("select status, report from analysis_tasks where id = ?", (task_id,)).fetchone()


def set_status(task_id, status):
    with db.connect() as con:
        con.execute("update analysis_tasks set status = ? where id = ? and status <> 'SUCCESS'", (status, task_id))


@app.task(
    name="analyze",
    pass_context=True,
    retry=RetryStrategy(max_attempts=RETRIES, wait=60, retry_exceptions=[llm.Overloaded]),
)
def analyze(context, message):
    if not isinstance(message, dict) or set(message) != {"task_id"} or type(message["task_id"]) is not int:
        return bury(message, "malformed")
    row = status_of(message["task_id"])
    if row is None:
        return bury(message, "no such task")
    status, report = row
    assert status == "PENDING", f"task {message['task_id']} is {status}"
    set_status(message["task_id"], "IN_PROGRESS")
    try:
        finding = llm.extract(report)
    except llm.Overloaded:
        if context.job.attempts >= RETRIES:
            set_status(message["task_id"], "FAILURE")
            return bury(message, "overloaded")
        set_status(message["task_id"], "PENDING")
        raise
    with db.connect() as con:
        con.execute("insert into findings values (?, ?)", (message["task_id"], finding))
        con.execute("update analysis_tasks set status = 'SUCCESS' where id = ?", (message["task_id"],))
    return None


async def _retry_stalled():
    async with app.open_async():
        for job in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(job)


def retry_stalled():
    asyncio.run(_retry_stalled())


def start(task_id):
    with app.open():
        analyze.defer(message={"task_id": task_id})
