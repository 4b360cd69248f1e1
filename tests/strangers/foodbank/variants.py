"""Another way to be right, and mistakes that pass review."""

JOB = "arrange-pickup"
JOBS, PICKUPS, BUS, DOCK, LOGS = (f"foodbank/{name}.py" for name in ("jobs", "pickups", "bus", "dock", "logs"))
SCHEMA, TESTS, SPEC = "foodbank/schema.py", "tests/test_arrange_pickup.py", ".skillrun/jobs/arrange-pickup.yaml"

MARKS = '''def mark_booked(pickup_id, slot_id, slot_from):
    with schema.writing() as db:
        db.execute(
            "update pickups set status = 'booked', slot_id = ?, slot_from = ? where id = ? and status = 'open'",
            (slot_id, slot_from, pickup_id),
        )
        return db.execute(SELECT, (pickup_id,)).fetchone()


def mark_told(pickup_id, sms_id):
    with schema.writing() as db:
        told = db.execute(
            "update pickups set status = 'told', sms_id = ? where id = ? and status = 'booked'", (sms_id, pickup_id)
        ).rowcount
        if told:
            db.execute(
                "update drivers set trips = trips + 1 where id = (select driver_id from pickups where id = ?)",
                (pickup_id,),
            )
    return bool(told)


'''

RECEIPTS_BUS = '''"""Broker and retry policy."""
import sqlite3

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, Interrupt

from foodbank import conf, dock, logs, sms

ATTEMPTS = 5
PASSING = (
    httpx.TransportError, dock.DockConfused, sms.GatewayDown, sqlite3.OperationalError,
    TimeoutError, ConnectionError, Interrupt,
)


def retry_when(retries, exc):
    if retries + 1 >= ATTEMPTS:
        return False
    if isinstance(exc, httpx.HTTPStatusError):
        return exc.response.status_code == 429 or exc.response.is_server_error
    return isinstance(exc, PASSING)


def equip(broker):
    if not any(isinstance(m, CurrentMessage) for m in broker.middleware):
        broker.add_middleware(CurrentMessage())
    return broker


logs.configure()
broker = equip(RedisBroker(url=conf.REDIS))
dramatiq.set_broker(broker)
'''

RECEIPTS_HOUSE = '''"""How a job is run in this house: its message is checked, its fate is logged, and what is given up is written down."""
import functools
import json
import sqlite3

import httpx
import structlog
from dramatiq.middleware import CurrentMessage, Interrupt

from foodbank import pickups, schema
from foodbank.bus import retry_when

logger = structlog.get_logger("jobs")


class BadMessage(pickups.Hopeless):
    pass


def reason(exc):
    if isinstance(exc, httpx.HTTPStatusError):
        return f"dock answered {exc.response.status_code}"
    return f"{type(exc).__name__}: {exc}"[:300]


def pickup_job(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        message = CurrentMessage.get_current_message()
        retries = message.options.get("retries", 0) if message else 0
        job_id = message.message_id if message else "by hand"
        log = logger.bind(job=function.__name__, job_id=job_id, attempt=retries + 1)
        pickup_id = None
        try:
            values = [*args, *kwargs.values()]
            if len(values) != 1 or set(kwargs) - {"pickup_id"} or not pickups.is_id(values[0]):
                raise BadMessage(f"{len(args)} positional, {sorted(kwargs)}")
            pickup_id = values[0]
            log = log.bind(pickup_id=pickup_id)
            log.info("started")
            outcome = function(pickup_id, log)
        except (Exception, Interrupt) as exc:
            if retry_when(retries, exc):
                log.warning("failed", outcome="retry", reason=reason(exc))
            else:
                log.error("failed", outcome="given up", reason=reason(exc))
                give_up(pickup_id, function.__name__, job_id, [args, kwargs], exc, retries + 1, log)
            raise
        log.info("done", outcome=outcome)
        return outcome

    return run


def give_up(pickup_id, actor, job_id, payload, exc, attempt, log, tries=3):
    subject = f"message {job_id}" if pickup_id is None else f"pickup {pickup_id}"
    for left in reversed(range(tries)):
        try:
            with schema.writing() as db:
                if pickup_id is not None and pickups.receipt(db, pickup_id, "sms"):
                    return
                db.execute("update pickups set status = 'failed' where id = ?", (pickup_id,))
                db.execute(
                    "insert or ignore into dead_letters"
                    " (subject, actor, message_id, payload, error, attempt, died_at) values (?, ?, ?, ?, ?, ?, ?)",
                    (subject, actor, job_id, json.dumps(payload), reason(exc), attempt, schema.now()),
                )
            return
        except sqlite3.OperationalError:
            log.error("cannot write the dead letter", tries_left=left)
'''

RECEIPTS_JOBS = '''"""The actors: dramatiq foodbank.jobs"""
import dramatiq

from foodbank import dock, outbox, pickups
from foodbank.bus import broker
from foodbank.house import pickup_job, retry_when
from foodbank.sms import Gateway

POLICY = dict(retry_when=retry_when, min_backoff=30_000, max_backoff=300_000)


def book(pickup):
    slot_id, slot_from = dock.book(pickup)
    return {"slot_id": slot_id, "from": slot_from}


def text(pickup, slot):
    return Gateway().send(
        to=pickup["driver_phone"],
        text=f"{pickup['crates']} crates at {pickup['partner']} on {pickup['day']}, dock from {slot['from']}.",
        reference=f"pickup-{pickup['id']}",
    )


@dramatiq.actor(broker=broker, queue_name="pickups", time_limit=120_000, **POLICY)
@pickup_job
def arrange_pickup(pickup_id, log):
    pickup, slot, sms = pickups.begin(pickup_id)
    if sms or pickup["status"] == "failed":
        return "nothing to do"
    if slot is None:
        slot = pickups.keep(pickup_id, "slot", book(pickup))
        log.info("slot kept", slot_id=slot["slot_id"])
    sms = pickups.keep(pickup_id, "sms", text(pickup, slot))
    log.info("driver told", sms_id=sms)
    return "told"


@dramatiq.actor(broker=broker, queue_name="chores", max_retries=0, max_age=60_000)
def relay_outbox():
    return outbox.relay()


@dramatiq.actor(broker=broker, queue_name="chores", max_retries=0, max_age=600_000)
def chase_pickups():
    return pickups.chase()
'''

VARIANTS = [
    dict(
        id="ok-receipts", kind="correct", job=JOB,
        what="A table of receipts, one per step, decides what has been done; the first receipt changes the pickup. A"
             " decorator of the house buries instead of a middleware, a success takes its dead letter back, logs are JSON.",
        edits=[
            (SCHEMA, "create table if not exists dead_letters (", '''create table if not exists receipts (
    pickup_id integer not null references pickups (id),
    step text not null,
    answer text not null,
    primary key (pickup_id, step)
) without rowid;
create table if not exists dead_letters ('''),
            (BUS, "", RECEIPTS_BUS),
            ("foodbank/house.py", "", RECEIPTS_HOUSE),
            (JOBS, "", RECEIPTS_JOBS),
            (PICKUPS, MARKS, '''def receipt(db, pickup_id, step):
    row = db.execute("select answer from receipts where pickup_id = ? and step = ?", (pickup_id, step)).fetchone()
    return row and json.loads(row["answer"])


def _slot_kept(db, pickup_id, slot):
    db.execute(
        "update pickups set status = 'booked', slot_id = ?, slot_from = ? where id = ?",
        (slot["slot_id"], slot["from"], pickup_id),
    )


def _driver_told(db, pickup_id, sms_id):
    db.execute("update pickups set status = 'told', sms_id = ? where id = ?", (sms_id, pickup_id))
    db.execute(
        "update drivers set trips = trips + 1 where id = (select driver_id from pickups where id = ?)", (pickup_id,)
    )
    db.execute("delete from dead_letters where subject = ?", (f"pickup {pickup_id}",))


STEPS = {"slot": _slot_kept, "sms": _driver_told}


def keep(pickup_id, step, answer):
    """Files the answer, if it is the first, together with what it changes. Returns the one on file."""
    with schema.writing() as db:
        filed = receipt(db, pickup_id, step)
        if filed is not None:
            return filed
        db.execute("insert into receipts (pickup_id, step, answer) values (?, ?, ?)", (pickup_id, step, json.dumps(answer)))
        STEPS[step](db, pickup_id, answer)
        return answer


'''),
            (PICKUPS, "import structlog\n", "import json\n\nimport structlog\n"),
            (PICKUPS, '''        if pickup["status"] in ("told", "failed"):
            return pickup
''', '''        slot, sms = receipt(db, pickup_id, "slot"), receipt(db, pickup_id, "sms")
        if sms is not None or pickup["status"] == "failed":
            return pickup, slot, sms
'''),
            (PICKUPS, '''            (now, now, pickup_id),
        )
    return pickup
''', '''            (now, now, pickup_id),
        )
    return pickup, slot, sms
'''),
            (LOGS, '''            structlog.processors.EventRenamer("msg"),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "msg"], bool_as_flag=False),
''', '''            structlog.processors.JSONRenderer(sort_keys=True),
'''),
            (TESTS, '''        db.execute("update pickups set touched_at = 1, status = 'booked', slot_id = 'sl-1', slot_from = '9' where id = 3")
''', '''        db.execute("update pickups set touched_at = 1, status = 'booked', slot_id = 'sl-1', slot_from = '9' where id = 3")
        db.execute("""insert into receipts values (3, 'slot', '{"slot_id": "sl-1", "from": "9"}')""")
'''),
            (SPEC, "table pickups (status)", "table receipts (pickup_id, step)"),
        ],
    ),
    dict(
        id="m-trip-of-its-own", kind="mistake", job=JOB,
        what="The driver's trip is counted in a transaction of its own, after the one that marks the pickup told. Promise:"
             " proof.state, a killed worker changes nothing in the end. The worker is killed (or the store fails) between"
             " the two commits; the redelivery finds the pickup told and has nothing to do; the trip is never counted.",
        edits=[
            (PICKUPS, '''        ).rowcount
        if told:
            db.execute(
                "update drivers set trips = trips + 1 where id = (select driver_id from pickups where id = ?)",
                (pickup_id,),
            )
    return bool(told)
''', '''        ).rowcount
    return bool(told)


def count_trip(driver_id):
    """Volunteers with many trips are invited to the summer party."""
    with schema.writing() as db:
        db.execute("update drivers set trips = trips + 1 where id = ?", (driver_id,))
'''),
            (JOBS, '''        told = pickups.mark_told(pickup_id, sms_id)
''', '''        told = pickups.mark_told(pickup_id, sms_id)
        if told:
            pickups.count_trip(pickup["driver_id"])
'''),
        ],
    ),
    dict(
        id="m-key-of-the-message", kind="mistake", job=JOB,
        what="The dock's Idempotency-Key carries the message id, so that a request can be found in the log. Promise: the"
             " slot is keyed by pickup_id. The dock books, its answer is lost (or the worker dies before mark_booked, and"
             " the message with it); the sweep publishes a new message, with a new id: a second slot is booked. Two"
             " deliveries of two dispatches at once do the same.",
        edits=[
            (DOCK, '''def book(pickup):
    """Take a slot at the dock. The calendar knows the request by its key: the same key, the same slot."""
''', '''def book(pickup, job_id):
    """Take a slot at the dock. The calendar knows the request by its key: the same key, the same slot."""
'''),
            (DOCK, '''f"foodbank-pickup-{pickup['id']}"''', '''f"foodbank-pickup-{pickup['id']}-{job_id}"'''),
            (JOBS, "dock.book(pickup)", 'dock.book(pickup, structlog.contextvars.get_contextvars().get("job_id", "manual"))'),
            (TESTS, '[("foodbank-pickup-1", {', '[("foodbank-pickup-1-manual", {'),
        ],
    ),
    dict(
        id="m-chase-open-only", kind="mistake", job=JOB,
        what="The sweep looks for pickups that are open and forgets those that are booked, and whose driver has not been"
             " told. Promise: recovers. The slot is booked, the gateway is down, and the broker is, too, when the retry is"
             " to be queued (or the worker and Redis die after mark_booked): the message is lost, the pickup stays booked,"
             " and no sweep ever brings it back.",
        edits=[
            (PICKUPS, '''"select id from pickups p where status in ('open', 'booked') and touched_at < ?"''',
             '''"select id from pickups p where status = 'open' and touched_at < ?"'''),
            (TESTS, '''        db.execute("update pickups set touched_at = 1, status = 'booked', slot_id = 'sl-1', slot_from = '9' where id = 3")
''', '''        db.execute("update pickups set touched_at = 1 where id = 3")
'''),
            (TESTS, '''    assert pickup(3) == ("told", "sl-1", "m-9")''', '''    assert pickup(3) == ("told", "sl-7", "m-9")'''),
        ],
    ),
]
