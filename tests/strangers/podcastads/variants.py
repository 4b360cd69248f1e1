"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""
from pathlib import Path

OK_CLAIMS = '''"""Who works at an insertion says so in SQLite, with a token and a time at which that runs out."""
import secrets
import sqlite3
from contextlib import contextmanager

from podcastads.db import now, writing

SECONDS = 60  # longer than a job may run, see queues.JOB_TIMEOUT


class Taken(Exception):
    """Somebody else is at it, or died at it less than a minute ago."""


@contextmanager
def claimed(name, log):
    token = secrets.token_urlsafe(12)
    with writing() as con:
        got = con.execute(
            "insert into claims (name, token, until) values (?, ?, ?)"
            " on conflict (name) do update set token = excluded.token, until = excluded.until where until < ?",
            (name, token, now() + SECONDS, now())).rowcount
    if not got:
        raise Taken(name)
    try:
        yield
    finally:
        try:
            with writing() as con:
                con.execute("delete from claims where name = ? and token = ?", (name, token))
        except sqlite3.Error as exc:
            log.warning("claim not given back, it will run out: %s", type(exc).__name__)
'''

OK_LEDGER = '''"""What we know of insertions. Receipts remember each step as soon as it is done."""
import json
import uuid

from podcastads.db import connect, now, writing

JOB = "insert-ad"
MAX_TRIES = 8  # by whichever message; a single one is delivered five times
KEY_LIVES = 6 * 86400  # seconds; billing forgets our key after seven days
HERE = "where episode_id = :episode_id and day = :day"


class NoSuchInsertion(Exception):
    pass


class NotRequested(Exception):
    pass


class Hopeless(Exception):
    """Tried too often, or for too long."""


class Insertion:
    def __init__(self, episode_id, day):
        self.where = {"episode_id": episode_id, "day": day}

    def row(self, con):
        return con.execute(f"select * from insertions {HERE}", self.where).fetchone()

    def receipt(self):
        con = connect()
        try:
            return con.execute(f"select * from receipts {HERE}", self.where).fetchone()
        finally:
            con.close()

    def begin(self):
        """Count a try, draw billing's key if there is none yet, and return the row."""
        with writing() as con:
            row = self.row(con)
            if row is None:
                raise NoSuchInsertion(key_of(**self.where))
            if row["status"] == "planned":
                raise NotRequested(key_of(**self.where))
            if row["status"] == "requested":
                first = row["first_try_at"] or now()
                if row["tries"] >= MAX_TRIES:
                    raise Hopeless(f"{row['tries']} tries came to no end")
                if now() - first > KEY_LIVES:
                    raise Hopeless("billing may have forgotten our key")
                con.execute(f"update insertions set tries = tries + 1, first_try_at = :first, moved_at = :now {HERE}",
                            {**self.where, "first": first, "now": now()})
                con.execute("insert or ignore into receipts (episode_id, day, billing_key) values (:episode_id, :day, :key)",
                            {**self.where, "key": str(uuid.uuid4())})
            return row

    def uploaded(self, object_key):
        with writing() as con:
            con.execute(f"update receipts set object_key = :object_key {HERE}", {**self.where, "object_key": object_key})

    def booked(self, object_key, batch_ref):
        """The one update that finds the row not booked yet moves the campaign's totals as well."""
        with writing() as con:
            moved = con.execute(
                f"update insertions set status = 'booked', object_key = :object_key, batch_ref = :batch_ref {HERE}"
                " and status <> 'booked'", {**self.where, "object_key": object_key, "batch_ref": batch_ref}).rowcount
            if not moved:
                return False
            row = self.row(con)
            con.execute(
                "update campaigns set booked_impressions = booked_impressions + ?, booked_cents = booked_cents + ? where id = ?",
                (row["impressions"], price(row), row["campaign_id"]))
            con.execute("delete from dead_jobs where job = ? and key = ?", (JOB, key_of(**self.where)))
            return True


def bury(key, message, reason, where=None):
    """False if there is nothing to bury, because another delivery has booked it."""
    with writing() as con:
        if where:
            insertion = Insertion(*where)
            row = insertion.row(con)
            if row is not None and row["status"] == "booked":
                return False
            con.execute(f"update insertions set status = 'failed' {HERE} and status = 'requested'", insertion.where)
        con.execute("insert or ignore into dead_jobs values (?, ?, ?, ?, ?)",
                    (JOB, key, json.dumps(message, sort_keys=True, default=repr), reason, now()))
        return True


def price(row):
    return row["impressions"] * row["cpm_cents"] // 1000


def key_of(episode_id, day):
    return f"{episode_id}:{day}"
'''

OK_JOBS = '''"""What the RQ workers run. What is raised here is retried by RQ; what is given up here returns."""
import hashlib
import json
import logging
import re
from datetime import date

from rq import get_current_job

from podcastads import billing, claims, config, ledger, queues, s3, stitch

EPISODE = re.compile(r"ep_[a-z0-9]{4,16}")


class BadMessage(Exception):
    pass


PERMANENT = (BadMessage, ledger.NoSuchInsertion, ledger.NotRequested, ledger.Hopeless, s3.S3Denied, billing.BillingRefused)


class JobLog(logging.LoggerAdapter):
    """One JSON object a line."""

    def process(self, msg, kwargs):
        return json.dumps({"msg": msg, **self.extra, **kwargs.pop("also", {})}), kwargs


def log_of(job, message):
    attempt = 1
    if job is not None:
        attempt = queues.ATTEMPTS - (job.retries_left or 0)
    return JobLog(logging.getLogger(__name__), {
        "job": ledger.JOB, "job_id": job.id if job else None, "key": name_of(message), "attempt": attempt})


def insert_ad(**message):
    log = log_of(get_current_job(), message)
    log.info("started")
    try:
        where = read(message)
        with claims.claimed(ledger.key_of(*where), log):
            outcome = Steps(*where).run()
    except PERMANENT as exc:
        return give_up(log, message, exc)
    except Exception as exc:
        log.warning("attempt failed", also=because(exc))
        raise
    log.info(outcome)
    return outcome


class Steps:
    def __init__(self, episode_id, day):
        self.insertion = ledger.Insertion(episode_id, day)

    def run(self):
        row = self.insertion.begin()
        if row["status"] != "requested":
            return f"nothing to do, already {row['status']}"
        object_key = self.upload(row)
        batch_ref = self.bill(row)
        return "booked" if self.insertion.booked(object_key, batch_ref) else "another delivery was faster"

    def upload(self, row):
        body = stitch.render(row)
        object_key = stitch.object_key(row, body)
        if self.insertion.receipt()["object_key"] != object_key:
            s3.client().put_object(Bucket=config.bucket(), Key=object_key, Body=body, ContentType="application/gzip")
            self.insertion.uploaded(object_key)
        return object_key

    def bill(self, row):
        batch = {"episode": row["episode_id"], "day": row["day"], "campaign": row["campaign_id"],
                 "impressions": row["impressions"], "amount_cents": ledger.price(row)}
        return billing.client().book_batch(batch, idempotency_key=self.insertion.receipt()["billing_key"])


def failed(job, connection, exc_type, exc, traceback):
    """RQ calls this after each failed attempt, also where the work horse or the whole worker died."""
    log = log_of(job, job.kwargs)
    if job.retries_left:
        log.warning("will be retried", also={**because(exc), "retries_left": job.retries_left})
    elif isinstance(exc, claims.Taken):
        log.warning("still taken at the last attempt, left to the sweep")
    else:
        give_up(log, job.kwargs, exc)


def give_up(log, message, exc):
    try:
        where = read(message)
    except BadMessage:
        where = None
    reason = f"{type(exc).__name__}: {exc}"
    if ledger.bury(name_of(message), message, reason, where):
        log.error("given up", also=because(exc))
        return "given up"
    log.info("nothing to give up, it is booked", also=because(exc))
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


def name_of(message):
    try:
        return ledger.key_of(*read(message))
    except BadMessage:
        return "bad:" + hashlib.sha256(json.dumps(message, sort_keys=True, default=repr).encode()).hexdigest()[:24]


def because(exc):
    return {"error": type(exc).__name__, "detail": str(exc)}
'''

OK_TESTS = (Path(__file__).resolve().parent / "base/tests/test_insert_ad.py").read_text()
for old, new in [
    ("jobs, lease, ledger", "claims, jobs, ledger"),
    ("lease.hold(ledger.key_of(EP, DAY))", "claims.claimed(ledger.key_of(EP, DAY), logging.getLogger())"),
    ("lease.Taken", "claims.Taken"),
    ("world.puts == 3", "world.puts == 2"),
    ('assert list(world.batches) == ["podcastads/ep_7fk2:2031-03-03"] and', "assert len(world.batches) == 1 and"),
    ('"key=ep_7fk2:2031-03-03 attempt=1/5]: booked" in caplog.text', """'"key": "ep_7fk2:2031-03-03", "attempt": 1' in caplog.text"""),
    ("        world.redis.flushall()\n", '        rows("delete from claims")\n'),
    ("ledger.begin(EP, DAY)", "ledger.Insertion(EP, DAY).begin()"),
    ('lease.hold("x")', 'claims.claimed("x", logging.getLogger())'),
    ('world.redis.set("podcastads:lease:x", "of somebody else")', "rows(\"update claims set token = 'of somebody else'\")"),
    ('world.redis.get("podcastads:lease:x") == b"of somebody else"', 'rows("select token from claims") == [("of somebody else",)]'),
    ("def test_only_ones_own_lease_is_given_back(world)", "def test_only_ones_own_claim_is_given_back(rows)"),
    ('world.redis.set("podcastads:lease:ep_7fk2:2031-03-03", "dead")', "rows(\"insert into claims values ('ep_7fk2:2031-03-03', 'dead', 9e9)\")"),
    ('world.redis.delete("podcastads:lease:ep_7fk2:2031-03-03")', 'rows("delete from claims")'),
]:
    assert old in OK_TESTS, old
    OK_TESTS = OK_TESTS.replace(old, new)

SPEC = ".skillrun/jobs/insert-ad.yaml"

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "insert-ad",
        "what": "A claim with a token in SQLite instead of Redis, receipts that remember each step and a billing key that "
                "is drawn and committed before its first use, JSON lines by an adapter",
        "edits": [
            ("podcastads/claims.py", "", OK_CLAIMS),
            ("podcastads/ledger.py", "", OK_LEDGER),
            ("podcastads/jobs.py", "", OK_JOBS),
            ("podcastads/lease.py", "", 'from redis import Redis\n\nfrom podcastads import config\n\n\ndef redis():\n    return Redis.from_url(config.redis_url())\n'),
            ("podcastads/db.py", "create table if not exists dead_jobs (",
             "create table if not exists claims (name text primary key, token text not null, until real not null);\n"
             "create table if not exists receipts (\n    episode_id text not null, day text not null, billing_key text not null unique, object_key text,\n"
             "    primary key (episode_id, day));\ncreate table if not exists dead_jobs ("),
            ("tests/test_insert_ad.py", "", OK_TESTS),
            (SPEC, '"table insertions (status), redis podcastads:lease:*"', "table insertions (status)"),
            (SPEC, "podcastads.lease:Taken", "podcastads.claims:Taken"),
            (SPEC, "  dead_letters: select count(*) from dead_jobs\n",
             "    receipts: select episode_id, day, object_key from receipts order by 1, 2\n"
             "  not_state: [claims]\n  dead_letters: select count(*) from dead_jobs\n"),
            ("README.md", "billing knows\n  our `Idempotency-Key` (`podcastads/EPISODE:DAY`) for 7 days",
             "billing knows\n  our `Idempotency-Key` (drawn once, in `receipts`) for 7 days"),
            ("README.md", "- A lease in Redis (`podcastads:lease:*`, 60 s) keeps", "- A row in `claims` (60 s) keeps"),
        ],
    },
    {
        "id": "m-1",
        "kind": "mistake",
        "job": "insert-ad",
        "what": "The lease is made long, so that it outlives every retry, and who finds it taken takes the work for done. "
                "Breaks recovers, acceptable_delay and 'a death loses nothing'. A worker is killed while it holds the "
                "lease (no finally runs); RQ's retry finds it taken and returns; so does every sweep for 24 hours, and "
                "the insertion is not booked within 6",
        "edits": [
            ("podcastads/lease.py", "SECONDS = 60  # longer than a job may run, see queues.JOB_TIMEOUT",
             "SECONDS = 24 * 3600  # longer than all retries of a job together, so that none overlaps"),
            ("podcastads/lease.py", '    """Somebody else is at it, or died at it less than a minute ago."""', '    """Another delivery of the same insertion is at it."""'),
            ("podcastads/jobs.py", "    except PERMANENT as exc:\n        return give_up(about, message, exc)\n",
             "    except lease.Taken:\n        outcome = \"another delivery is at it\"\n    except PERMANENT as exc:\n        return give_up(about, message, exc)\n"),
            ("podcastads/jobs.py", "    elif isinstance(exc, lease.Taken):\n        # whoever holds the lease decides; if it is dead, the sweep asks again\n        logger.warning(\"%s: still taken at the last attempt, left to the sweep\", about)\n", ""),
            ("README.md", "(`podcastads:lease:*`, 60 s)", "(`podcastads:lease:*`)"),
            ("README.md", "Who finds it taken\n  comes back with the next retry.", "Who finds it taken\n  has nothing to do."),
            (SPEC, "    - {type: \"podcastads.lease:Taken\", args: [\"ep_7fk2:2031-03-03\"], effects: []}\n", ""),
        ],
    },
    {
        "id": "m-2",
        "kind": "mistake",
        "job": "insert-ad",
        "what": "The failure callback takes the attempt that has just failed off retries_left once more. Breaks "
                "retry.max_attempts. Billing answers 503 four times: after the fourth, RQ has one retry left, and the "
                "callback buries the insertion; the fifth attempt, which would have succeeded, finds it failed and does nothing",
        "edits": [
            ("podcastads/jobs.py", "    if job.retries_left:\n        logger.warning(\"%s: will be retried, %d retries left: %s\", about, job.retries_left, reason(exc))\n",
             "    retries_left = (job.retries_left or 0) - 1\n    if retries_left > 0:\n        logger.warning(\"%s: will be retried, %d retries left: %s\", about, retries_left, reason(exc))\n"),
        ],
    },
    {
        "id": "m-3",
        "kind": "mistake",
        "job": "insert-ad",
        "what": "The Idempotency-Key is RQ's job id, which is the same over RQ's retries. Breaks effects.batch (one batch "
                "per episode and day, keyed by the message). Billing books; its answer is lost, or the worker dies before "
                "finish, and RQ's job with it (Redis restored, or a second message for the same day); the sweep queues a "
                "new job, with a new id, and billing books a second batch",
        "edits": [
            ("podcastads/jobs.py", "            outcome = book(episode_id, day)\n", "            outcome = book(episode_id, day, f\"podcastads/{job.id if job else ledger.key_of(episode_id, day)}\")\n"),
            ("podcastads/jobs.py", "def book(episode_id, day):\n", "def book(episode_id, day, billing_key):\n"),
            ("podcastads/jobs.py", "        idempotency_key=f\"podcastads/{ledger.key_of(episode_id, day)}\")\n", "        idempotency_key=billing_key)\n"),
            ("README.md", "`Idempotency-Key` (`podcastads/EPISODE:DAY`)", "`Idempotency-Key` (`podcastads/JOB-ID`)"),
        ],
    },
]
