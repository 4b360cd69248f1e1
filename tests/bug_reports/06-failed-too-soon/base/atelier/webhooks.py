import json
import os

import requests
from redis import Redis
from rq import Queue, Retry, get_current_job

from atelier import db

JOB_OPTIONS = {"retry": Retry(max=4, interval=60)}


class ReceiverBusy(Exception):
    pass


class ReceiverGone(Exception):
    pass


def queue():
    return Queue("atelier", connection=Redis.from_url(os.environ.get("ATELIER_REDIS", "redis://localhost:6379")))


def post(hook, submission, delivery):
    """The delivery id is in the header by which receivers recognise a repetition."""
    answer = requests.post(hook, json={"submission": submission}, headers={"X-Delivery": delivery}, timeout=10)
    if answer.status_code >= 500 or answer.status_code == 429:
        raise ReceiverBusy(answer.status_code)
    if answer.status_code >= 400:
        raise ReceiverGone(answer.status_code)


def record_failure(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into failed_deliveries values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def attempts_left():
    job = get_current_job()
    return job.retries_left if job is not None else 0


def deliver(message):
    if not isinstance(message, dict) or set(message) != {"submission"} or not isinstance(message["submission"], str):
        record_failure(message, "malformed")
        return
    with db.connect() as con:
        row = con.execute("select hook, delivered from submissions where id = ?", (message["submission"],)).fetchone()
    if row is None:
        record_failure(message, "no such submission")
        return
    if row[1]:
        return
    try:
        post(row[0], message["submission"], f"submission-{message['submission']}")
    except ReceiverGone:
        record_failure(message, "receiver gone")
        return
    except ReceiverBusy:
        record_failure(message, "receiver busy")
        if attempts_left():
            raise
        return
    with db.connect() as con:
        con.execute("update submissions set delivered = 1 where id = ?", (message["submission"],))


def submitted(submission):
    queue().enqueue(deliver, {"submission": submission}, **JOB_OPTIONS)
