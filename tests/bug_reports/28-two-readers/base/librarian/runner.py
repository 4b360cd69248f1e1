import contextlib
import json
import os
import sqlite3

from redis import Redis
from rq import Queue, Retry, get_current_job

from librarian import ranker, store

JOB_OPTIONS = {"retry": Retry(max=4, interval=120)}
UNCONSUMED = "select id, chunk from knowledge_queue where source = ? and consumed = 0 order by id"


def queue():
    return Queue("librarian", connection=Redis.from_url(os.environ.get("LIBRARIAN_REDIS", "redis://localhost:6379")))


def bury(message, reason):
    with contextlib.closing(store.connect()) as db, db:
        db.execute("insert or ignore into dead_runs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def process(source):
    with contextlib.closing(store.connect()) as db, db:
        rows = db.execute(UNCONSUMED, (source,)).fetchall()
        decisions = [(ident, ranker.rank(chunk)) for ident, chunk in rows]
        db.executemany("insert into envelopes (chunk_id, decision) values (?, ?)", decisions)
        db.executemany("update knowledge_queue set consumed = 1 where id = ?", [(ident,) for ident, _ in decisions])


def consume(message):
    if not isinstance(message, dict) or set(message) != {"source"} or not isinstance(message["source"], str):
        return bury(message, "malformed")
    try:
        process(message["source"])
    except (ranker.RankerBusy, sqlite3.OperationalError) as error:
        job = get_current_job()
        if job is None or job.retries_left:
            raise
        bury(message, type(error).__name__)
    return None


def source_updated(source):
    queue().enqueue(consume, {"source": source}, **JOB_OPTIONS)
