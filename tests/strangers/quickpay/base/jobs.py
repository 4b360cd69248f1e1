import logging
import os
import time
from uuid import uuid4

import requests
from redis import Redis
from rq import Queue, Retry, get_current_job

import db
import payments
import slack

redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
queue = Queue("charges", connection=redis)
logging.basicConfig(level=logging.INFO)
log = logging.getLogger("jobs")

MAX_ATTEMPTS = 5
WAITS = [10, 30, 90, 270]
TOKEN_TTL = 8 * 60  # outlives one run (60 s) and the longest wait (270 s)
SILENCE = 9 * 60  # and after that an order that nobody touched has lost its job
KEY_WINDOW = 23 * 3600  # the payment service knows a key for 24 h
HOPELESS = (400, 401, 403, 404, 410, 422)


def enqueue(order_id):
    queue.enqueue(charge_order, order_id=order_id, job_timeout=60, retry=Retry(max=len(WAITS), interval=WAITS))


def charge_order(order_id=None):
    def say(result, reason=""):
        log.info("job=charge_order event_id=%s rq=%s attempt=%s result=%s reason=%r", order_id, me, attempt, result, reason)

    job, attempt = get_current_job(), 0
    me = job.id if job else uuid4().hex  # rq keeps the id over retries
    if type(order_id) is not int or not 0 < order_id < 2**63:
        bury(order_id, "no order id")
        return say("dead", "no order id")
    token = f"charge:{order_id}"
    if not redis.set(token, me, nx=True, ex=TOKEN_TTL):
        if redis.get(token) != me.encode():
            return say("dropped", "another job is at it")  # if that one dies for good, sweep() sees it
        redis.expire(token, TOKEN_TTL)

    now = int(time.time())
    with db.tx() as con:
        order = con.execute(
            "update orders set attempts = attempts + 1, first_try = coalesce(first_try, ?), touched = ?"
            " where id = ? and status in ('queued', 'charged') returning *",
            (now, now, order_id),
        ).fetchone()
        known = order or con.execute("select status from orders where id = ?", (order_id,)).fetchone()
    if not known:
        bury(order_id, "no such order")
        return say("dead", "no such order")
    if not order:
        return say("nothing to do", known["status"])
    attempt = order["attempts"]
    if attempt > MAX_ATTEMPTS:
        bury(order_id, "its attempts killed their workers")
        return say("dead", "its attempts killed their workers")
    if order["status"] == "queued" and now - order["first_try"] > KEY_WINDOW:
        bury(order_id, "maybe charged, and too old to ask again")
        return say("dead", "maybe charged, and too old to ask again")

    say("started")
    try:
        if order["status"] == "queued":
            charge_id = payments.charge(order["customer"], order["amount"], key=f"order-{order_id}")
            with db.tx() as con:  # dead: another run gave up while this one was still at it
                con.execute(
                    "update orders set status = 'charged', charge_id = ? where id = ? and status in ('queued', 'dead')",
                    (charge_id, order_id),
                )
                con.execute("delete from dead_jobs where order_id = ?", (str(order_id),))
        slack.notify(f"Order {order_id}: {order['amount'] / 100:.2f} EUR from {order['customer']}")  # twice is fine
        with db.tx() as con:
            con.execute("update orders set status = 'done' where id = ?", (order_id,))
            con.execute("delete from dead_jobs where order_id = ?", (str(order_id),))
        say("done")
    except payments.Declined as e:
        with db.tx() as con:
            con.execute("update orders set status = 'declined' where id = ? and status = 'queued'", (order_id,))
        say("declined", e)
    except requests.RequestException as e:
        hopeless = isinstance(e, requests.HTTPError) and e.response.status_code in HOPELESS
        if hopeless or attempt >= MAX_ATTEMPTS:
            bury(order_id, repr(e))
            return say("dead", e)
        say("retry", e)
        raise
    except Exception as e:
        say("failed", e)
        raise


def bury(order_id, reason):
    """Status and dead letter in one go. Not if another run has finished the order."""
    with db.tx() as con:
        if type(order_id) is int and 0 < order_id < 2**63:
            gone = con.execute("update orders set status = 'dead' where id = ? and status in ('queued', 'charged')", (order_id,))
            if not gone.rowcount and con.execute("select 1 from orders where id = ?", (order_id,)).fetchone():
                return
        con.execute("insert or ignore into dead_jobs (order_id, reason) values (?, ?)", (str(order_id), reason))


def sweep():
    """Every ten minutes: orders that stand still get a new job."""
    now = int(time.time())
    with db.tx() as con:
        stuck = con.execute("select id from orders where status in ('queued', 'charged') and touched <= ?", (now - SILENCE,)).fetchall()
    for (order_id,) in stuck:
        log.warning("job=charge_order event_id=%s result=enqueued again reason='stood still'", order_id)
        enqueue(order_id)
        with db.tx() as con:
            con.execute("update orders set touched = ? where id = ?", (now, order_id))
