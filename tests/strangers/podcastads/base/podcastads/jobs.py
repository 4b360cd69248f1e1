"""What the RQ workers run. What is raised here is retried by RQ; what is given up here returns."""
import hashlib
import json
import logging
import re
from datetime import date

from rq import get_current_job

from podcastads import billing, config, lease, ledger, queues, s3, stitch

logger = logging.getLogger(__name__)
EPISODE = re.compile(r"ep_[a-z0-9]{4,16}")


class BadMessage(Exception):
    pass


PERMANENT = (BadMessage, ledger.NoSuchInsertion, ledger.NotRequested, ledger.Hopeless, s3.S3Denied, billing.BillingRefused)


def insert_ad(**message):
    job = get_current_job()
    about = describe(job, message)
    logger.info("%s: started", about)
    try:
        episode_id, day = read(message)
        with lease.hold(ledger.key_of(episode_id, day)):
            outcome = book(episode_id, day)
    except PERMANENT as exc:
        return give_up(about, message, exc)
    except Exception as exc:
        logger.warning("%s: attempt failed: %s", about, reason(exc))
        raise
    logger.info("%s: %s", about, outcome)
    return outcome


def book(episode_id, day):
    row = ledger.begin(episode_id, day)
    if row["status"] != "requested":
        return f"nothing to do, already {row['status']}"
    body = stitch.render(row)
    object_key = stitch.object_key(row, body)
    s3.client().put_object(Bucket=config.bucket(), Key=object_key, Body=body, ContentType="application/gzip")
    batch_ref = billing.client().book_batch(
        {"episode": episode_id, "day": day, "campaign": row["campaign_id"],
         "impressions": row["impressions"], "amount_cents": ledger.price(row)},
        idempotency_key=f"podcastads/{ledger.key_of(episode_id, day)}")
    return "booked" if ledger.finish(episode_id, day, object_key, batch_ref) else "another delivery was faster"


def failed(job, connection, exc_type, exc, traceback):
    """RQ calls this after each failed attempt, also where the work horse or the whole worker died."""
    about = describe(job, job.kwargs)
    if job.retries_left:
        logger.warning("%s: will be retried, %d retries left: %s", about, job.retries_left, reason(exc))
    elif isinstance(exc, lease.Taken):
        # whoever holds the lease decides; if it is dead, the sweep asks again
        logger.warning("%s: still taken at the last attempt, left to the sweep", about)
    else:
        give_up(about, job.kwargs, exc)


def give_up(about, message, exc):
    try:
        where = read(message)
        key = ledger.key_of(*where)
    except BadMessage:
        where, key = None, digest(message)
    if ledger.bury(key, message, reason(exc), where):
        logger.error("%s: given up, see dead_jobs: %s", about, reason(exc))
        return "given up"
    logger.info("%s: nothing to give up, it is booked; this one: %s", about, reason(exc))
    return "booked by another delivery"


def read(message):
    if set(message) != {"episode_id", "day"}:
        raise BadMessage(f"fields are {', '.join(sorted(message)) or 'missing'}")
    episode_id, day = message["episode_id"], message["day"]
    if not isinstance(episode_id, str) or not EPISODE.fullmatch(episode_id):
        raise BadMessage("episode_id is none")
    try:
        if date.fromisoformat(day).isoformat() != day:
            raise ValueError
    except (TypeError, ValueError):
        raise BadMessage("day is none") from None
    return episode_id, day


def digest(message):
    return "bad:" + hashlib.sha256(json.dumps(message, sort_keys=True, default=repr).encode()).hexdigest()[:24]


def describe(job, message):
    try:
        key = ledger.key_of(*read(message))
    except BadMessage:
        key = digest(message)
    if job is None:
        return f"[{ledger.JOB} id=- key={key} attempt=1]"
    attempt = queues.ATTEMPTS - job.retries_left if job.retries_left is not None else queues.ATTEMPTS
    return f"[{ledger.JOB} id={job.id} key={key} attempt={attempt}/{queues.ATTEMPTS}]"


def reason(exc):
    return f"{type(exc).__name__}: {exc}"
