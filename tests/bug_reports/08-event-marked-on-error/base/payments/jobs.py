import json
import os

from redis import Redis
from rq import Queue, Retry, get_current_job

from payments import community, db

JOB_OPTIONS = {"retry": Retry(max=3, interval=[60, 300, 900])}


def queue():
    return Queue("payments", connection=Redis.from_url(os.environ.get("LABS_REDIS", "redis://localhost:6379")))


def mark_processed(event_id, error=False):
    with db.connect() as con:
        con.execute("insert or ignore into processed_events values (?, ?)", (event_id, error))


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into dead_events values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def handle_event(message):
    if not isinstance(message, dict) or set(message) != {"event_id", "email", "tier"} or not all(
        isinstance(value, str) for value in message.values()
    ):
        return bury(message, "malformed")
    with db.connect() as con:
        if con.execute("select 1 from processed_events where event_id = ?", (message["event_id"],)).fetchone():
            return None
    try:
        community.invite(message["email"], message["event_id"])
        with db.connect() as con:
            con.execute("update members set tier = :tier where email = :email", message)
            con.execute("insert or ignore into processed_events values (:event_id, 0)", message)
    except Exception as error:
        mark_processed(message["event_id"], error=True)
        job = get_current_job()
        if job is not None and not job.retries_left:
            return bury(message, type(error).__name__)
        raise


def webhook(event_id, email, tier):
    queue().enqueue(handle_event, {"event_id": event_id, "email": email, "tier": tier}, **JOB_OPTIONS)
