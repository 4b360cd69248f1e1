import json
import os
from datetime import datetime

from redis import Redis
from rq import Queue, Retry, get_current_job

from alerts import db, mail

JOB_OPTIONS = {"retry": Retry(max=3, interval=[60, 120, 240])}


def queue():
    return Queue("alerts", connection=Redis.from_url(os.environ.get("ALERTS_REDIS", "redis://localhost:6379")))


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into lost_hope values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def note(table, ident):
    """The record by which a sweep finds out that a job was lost."""
    sql = f"insert or ignore into {table} (id, created_at) values (?, ?)"
    with db.connect() as con:
        con.execute(sql, (ident, datetime.utcnow().isoformat()))
        return con.execute(f"select processed from {table} where id = ?", (ident,)).fetchone()[0]


def close(table, ident, outcome):
    with db.connect() as con:
        con.execute(f"update {table} set processed = ? where id = ?", (outcome, ident))


def process(table, field, message, subject):
    ident = message.get(field) if isinstance(message, dict) and set(message) == {field} else None
    if not isinstance(ident, str):
        return bury(message, "malformed")
    if note(table, ident):
        return None
    try:
        mail.hand_over(subject, f"{table}-{ident}")
    except mail.PostOfficeClosed:
        job = get_current_job()
        if job is None or job.retries_left:
            raise
        close(table, ident, 2)
        return bury(message, "closed")
    return close(table, ident, 1)


def single_message(message):
    process("messages", "message_id", message, "An update")


def digest_run(message):
    process("digest_runs", "day", message, "Your daily digest")


def start_run(day):
    note("digest_runs", day)
    queue().enqueue(digest_run, {"day": day}, **JOB_OPTIONS)
