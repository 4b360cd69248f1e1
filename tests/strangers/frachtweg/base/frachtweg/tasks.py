import base64
import hashlib
import json
import logging

import psycopg
from procrastinate import BaseRetryStrategy, RetryDecision

from . import carrier, consignments, desk
from .carrier import CarrierDown
from .labels import StoreDown, store
from .queue import app

logger = logging.getLogger("frachtweg.jobs")
PASSING = (CarrierDown, StoreDown, psycopg.OperationalError)
MAX_ATTEMPTS = 5


class BadMessage(Exception):
    pass


class Policy(BaseRetryStrategy):
    def get_retry_decision(self, *, exception, job):
        if not isinstance(exception, PASSING) or job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": min(20 * 3**job.attempts, 900)})


@app.task(name="book_consignment", pass_context=True, retry=Policy())
def book_consignment(context, **message):
    attempt, key = context.job.attempts + 1, key_of(message)

    def say(level, outcome, **more):
        about = {"job": "book-consignment", "job_id": context.job.id, "key": key, "attempt": attempt}
        logger.log(level, json.dumps({**about, "outcome": outcome, **more}))

    say(logging.INFO, "started")
    try:
        outcome = book(read(message))
    except Exception as exc:
        if isinstance(exc, PASSING) and attempt < MAX_ATTEMPTS:
            say(logging.WARNING, "retry", reason=reason(exc))
            raise
        if not consignments.bury(key, message, reason(exc)):
            return say(logging.INFO, "nothing to do")
        say(logging.ERROR, "dead", reason=reason(exc))
        raise
    say(logging.INFO, outcome)


def book(consignment_id):
    row = consignments.begin(consignment_id)
    if row is None:
        return "nothing to do"
    reference = f"FW-{consignment_id}"
    order = carrier.Order(consignee=row["consignee"], parcels=row["parcels"], grams=row["grams"])
    booking = carrier.book(order, reference=reference)
    label_key = f"labels/{reference}.pdf"
    store.put(label_key, base64.b64decode(booking["label"]))
    consignments.finish(consignment_id, booking["tracking"], label_key)
    return "booked"


def read(message):
    consignment_id = message.get("consignment_id")
    if set(message) != {"consignment_id"} or type(consignment_id) is not int or not 0 < consignment_id < 2**31:
        raise BadMessage("wants one consignment_id above zero")
    return consignment_id


def key_of(message):
    try:
        return str(read(message))
    except BadMessage:
        return "bad-" + hashlib.md5(json.dumps(message, sort_keys=True).encode()).hexdigest()


def reason(exc):
    if isinstance(exc, psycopg.Error):
        return f"{type(exc).__name__} {exc.sqlstate or ''}".strip()
    return f"{type(exc).__name__}: {exc}"


@app.periodic(cron="*/10 * * * *")
@app.task(name="retry_stalled")
async def retry_stalled(timestamp):
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


@app.periodic(cron="25 * * * *")
@app.task(name="sweep")
def sweep(timestamp):
    desk.defer_due()
