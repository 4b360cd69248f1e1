"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

from pathlib import Path

OK_LOCKS = '''"""Advisory locks: PostgreSQL gives them back when the connection of their holder is gone."""

from contextlib import contextmanager

import psycopg

from lagerhaus.settings import get_settings


class Occupied(Exception):
    """Another worker is at this shipment."""


@contextmanager
def exclusive(name: str):
    with psycopg.connect(get_settings().dsn, autocommit=True, connect_timeout=10) as conn:
        (mine,) = conn.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
        if not mine:
            raise Occupied(name)
        yield
'''

OK_ANNOUNCING = '''"""Announce one shipment, once: who inserts its row into announcements has done it."""

from contextlib import contextmanager

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lagerhaus import clock, locks
from lagerhaus.carrier import CarrierClient
from lagerhaus.commands import AnnounceShipment
from lagerhaus.model import MAX_STARTS, REPEATABLE_FOR, GoneTooOften, NotReleased, ReferenceTooOld, UnknownShipment
from lagerhaus.settings import get_settings

TASK = "announce-shipment"


@contextmanager
def transaction():
    with psycopg.connect(get_settings().dsn, row_factory=dict_row, connect_timeout=10) as conn:
        yield conn


def announce(command: AnnounceShipment) -> str:
    no = command.shipment_no
    with locks.exclusive(f"{TASK}/{no}"):
        row = count_start(no)
        if row["status"] != "released":
            return f"nothing to do, it is {row['status']}"
        with CarrierClient() as carrier:
            tracking_no = carrier.announce(consignment_of(row), client_reference=row["client_reference"])
        return "announced" if record(no, tracking_no) else "was announced already"


def consignment_of(row: dict) -> dict:
    return {
        "recipient": row["recipient"],
        "address": row["address"],
        "parcels": row["parcels"],
        "weightGrams": row["weight_g"],
    }


def count_start(no: str) -> dict:
    now = clock.utcnow()
    with transaction() as conn:
        row = conn.execute(
            "update shipments set starts = starts + 1, first_start_at = coalesce(first_start_at, %(now)s),"
            " touched_at = %(now)s where shipment_no = %(no)s and status = 'released' and starts < %(max)s"
            " and coalesce(first_start_at, %(now)s) >= %(oldest)s returning *",
            {"now": now, "no": no, "max": MAX_STARTS, "oldest": now - REPEATABLE_FOR},
        ).fetchone()
        row = row or conn.execute("select * from shipments where shipment_no = %s", (no,)).fetchone()
    if row is None:
        raise UnknownShipment(no)
    if row["status"] == "packed":
        raise NotReleased(no)
    if row["status"] == "released" and row["touched_at"] != now:
        if row["starts"] >= MAX_STARTS:
            raise GoneTooOften(f"{row['starts']} starts")
        raise ReferenceTooOld(f"first used on {row['first_start_at']:%Y-%m-%d}")
    return row


def record(no: str, tracking_no: str) -> bool:
    with transaction() as conn:
        inserted = conn.execute(
            "insert into announcements (shipment_no, tracking_no) values (%s, %s) on conflict do nothing",
            (no, tracking_no),
        ).rowcount
        if not inserted:
            return False
        row = conn.execute(
            "update shipments set status = 'announced', tracking_no = %s where shipment_no = %s returning *",
            (tracking_no, no),
        ).fetchone()
        conn.execute(
            "update pickups set announced_parcels = announced_parcels + %s where id = %s",
            (row["parcels"], row["pickup_id"]),
        )
        conn.execute("delete from dead_letters where task = %s and key = %s", (TASK, no))
    return True


def bury(key: str, message: dict, reason: str) -> bool:
    """False where there is nothing to bury, since another delivery has got through."""
    with transaction() as conn:
        conn.execute(
            "update shipments set status = 'stuck' where shipment_no = %s and status in ('released', 'stuck')", (key,)
        )
        if conn.execute("select 1 from announcements where shipment_no = %s", (key,)).fetchone():
            return False
        conn.execute(
            "insert into dead_letters (task, key, message, reason, died_at) values (%s, %s, %s, %s, %s)"
            " on conflict (task, key) do nothing",
            (TASK, key, Jsonb(message), reason, clock.utcnow()),
        )
    return True
'''

OK_TASKS = '''import hashlib
import json
import logging

import psycopg
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from pydantic import ValidationError

from lagerhaus import announcing, floor, logs  # noqa: F401
from lagerhaus.carrier import CarrierBusy
from lagerhaus.commands import AnnounceShipment
from lagerhaus.locks import Occupied
from lagerhaus.queue import app

MAX_ATTEMPTS = 5
PASSING = (CarrierBusy, Occupied, psycopg.OperationalError)
logger = logging.getLogger("lagerhaus.tasks")


class Unreadable(Exception):
    """The message is no command of ours."""


class Lines(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return " ".join([f"event={msg}", *(f"{k}={v}" for k, v in self.extra.items())]), kwargs

    def of(self, exc: Exception) -> "Lines":
        return Lines(self.logger, {**self.extra, "reason": json.dumps(reason_of(exc))})


class Patience(BaseRetryStrategy):
    """20 s, 1 min, 3 min, then 5 min; only for what may pass."""

    def get_retry_decision(self, *, exception, job):
        if not isinstance(exception, PASSING) or job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": min(20 * 3**job.attempts, 300)})


@app.task(name="announce_shipment", queue="carrier", pass_context=True, retry=Patience())
def announce_shipment(context: JobContext, **message):
    attempt = context.job.attempts + 1
    key = key_of(message)
    log = Lines(logger, {"job": announcing.TASK, "job_id": context.job.id, "key": key, "attempt": attempt})
    log.info("started")
    try:
        outcome = announcing.announce(read(message))
    except Exception as exc:
        if isinstance(exc, PASSING) and attempt < MAX_ATTEMPTS:
            log.of(exc).warning("retry")
            raise
        if isinstance(exc, Occupied):
            log.of(exc).warning("left_to_the_chase")
            return
        if not announcing.bury(key, message, reason_of(exc)):
            log.of(exc).info("announced_by_another")
            return
        log.of(exc).error("given_up")
        raise
    log.info(outcome.replace(" ", "_"))


def read(message: dict) -> AnnounceShipment:
    try:
        return AnnounceShipment.model_validate(message)
    except ValidationError as exc:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in exc.errors()}))
        raise Unreadable(f"wrong or missing: {fields}") from None


def key_of(message: dict) -> str:
    try:
        return read(message).shipment_no
    except Unreadable:
        text = json.dumps(message, sort_keys=True)
        return "unreadable-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def reason_of(exc: Exception) -> str:
    if isinstance(exc, psycopg.Error):  # its text may quote the row
        return f"{type(exc).__name__} {exc.sqlstate or 'no sqlstate'}"
    return f"{type(exc).__name__}: {exc}"


@app.periodic(cron="*/20 * * * *")
@app.task(name="chase_released", queue="upkeep")
def chase_released(timestamp: int):
    floor.chase()


@app.periodic(cron="*/5 * * * *")
@app.task(name="rescue_stalled", queue="upkeep")
async def rescue_stalled(timestamp: int):
    """Jobs whose worker does not send heartbeats any more."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=120):
        logger.warning("event=worker_lost job=%s job_id=%s attempt=%s", job.task_name, job.id, job.attempts + 1)
        await app.job_manager.retry_job(job)
'''

TESTS = Path(__file__).resolve().parent / "base" / "tests"

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "announce-shipment",
        "what": "Plain functions with conditional updates; the primary key of announcements says who was first, an "
                "advisory lock keeps two workers apart, stdlib logging with key=value",
        "edits": [
            ("lagerhaus/locks.py", "", OK_LOCKS),
            ("lagerhaus/announcing.py", "", OK_ANNOUNCING),
            ("lagerhaus/tasks.py", "", OK_TASKS),
            ("lagerhaus/schema.sql", "create table if not exists dead_letters (",
             "create table if not exists announcements (\n    shipment_no text primary key references shipments,\n"
             "    tracking_no text not null\n);\n\ncreate table if not exists dead_letters ("),
            ("tests/conftest.py", "@pytest.fixture(params=[\"memory\", \"postgres\"])", "@pytest.fixture(params=[\"postgres\"])"),
            ("tests/test_announcing.py", "", (TESTS / "test_announcing.py").read_text().replace("_start", "count_start")),
            ("lagerhaus/logs.py", "import sys\n", "import logging\nimport sys\n"),
            ("lagerhaus/logs.py", "    logger.remove()\n",
             "    logging.basicConfig(level=get_settings().log_level, format=\"%(asctime)s %(levelname)s %(message)s\")\n"
             "    logging.getLogger(\"httpx\").setLevel(logging.WARNING)\n    logger.remove()\n"),
            ("README.md", "(another one, under the row's lock).",
             "(another one: whoever inserts\n  the row into `announcements`). An advisory lock keeps two workers from announcing the same shipment."),
            (".skillrun/jobs/announce-shipment.yaml", "table shipments (status)", "table announcements"),
            (".skillrun/jobs/announce-shipment.yaml", "    - {type: \"psycopg:OperationalError\", effects: []}\n",
             "    - {type: \"psycopg:OperationalError\", effects: []}\n    - {type: \"lagerhaus.locks:Occupied\", effects: []}\n"),
            (".skillrun/jobs/announce-shipment.yaml", "    pickups: select id, announced_parcels from pickups order by id\n",
             "    pickups: select id, announced_parcels from pickups order by id\n"
             "    announcements: select shipment_no, tracking_no from announcements order by 1\n"),
        ],
    },
    {
        "id": "m-1",
        "kind": "mistake",
        "job": "announce-shipment",
        "what": "The reference is drawn by the worker and stored with the tracking number, so it is not committed before "
                "the call. Breaks effects.announcement (keyed by client_reference). Released; the carrier takes the "
                "announcement; its answer is lost, or the worker dies before _confirm commits; the next attempt finds no "
                "reference in the row, draws another, and the carrier has two shipments",
        "edits": [
            ("lagerhaus/model.py", "    def release(self, reference: UUID, now: datetime) -> bool:", "    def release(self, now: datetime) -> bool:"),
            ("lagerhaus/model.py", "self.status, self.client_reference, self.touched_at = \"released\", reference, now",
             "self.status, self.touched_at = \"released\", now"),
            ("lagerhaus/model.py", "    def confirm(self, tracking_no: str) -> bool:", "    def confirm(self, reference: UUID, tracking_no: str) -> bool:"),
            ("lagerhaus/model.py", "        self.status, self.tracking_no = \"announced\", tracking_no\n",
             "        self.status, self.tracking_no = \"announced\", tracking_no\n        self.client_reference = reference\n"),
            ("lagerhaus/floor.py", "from uuid import uuid4\n", ""),
            ("lagerhaus/floor.py", "shipment.release(uuid4(), clock.utcnow())", "shipment.release(clock.utcnow())"),
            ("lagerhaus/announcing.py", "from lagerhaus import clock\n", "from uuid import UUID, uuid4\n\nfrom lagerhaus import clock\n"),
            ("lagerhaus/announcing.py", "    with CarrierClient() as carrier:\n",
             "    reference = shipment.client_reference or uuid4()\n    with CarrierClient() as carrier:\n"),
            ("lagerhaus/announcing.py", "            client_reference=shipment.client_reference,\n", "            client_reference=reference,\n"),
            ("lagerhaus/announcing.py", "    return _confirm(shipment.shipment_no, tracking_no)", "    return _confirm(shipment.shipment_no, reference, tracking_no)"),
            ("lagerhaus/announcing.py", "def _confirm(shipment_no: str, tracking_no: str) -> str:", "def _confirm(shipment_no: str, reference: UUID, tracking_no: str) -> str:"),
            ("lagerhaus/announcing.py", "        if not shipment.confirm(tracking_no):", "        if not shipment.confirm(reference, tracking_no):"),
            ("README.md", "* `floor.release` draws the client reference, and commits it together with the Procrastinate job.",
             "* `floor.release` commits the Procrastinate job together with the row."),
            ("README.md", "calls the carrier with that reference (none is open\n  meanwhile), and stores the tracking number",
             "calls the carrier with a reference of ours (none is open\n  meanwhile), and stores both with the tracking number"),
        ],
    },
    {
        "id": "m-2",
        "kind": "mistake",
        "job": "announce-shipment",
        "what": "The pickup's total, which all shipments of a day contend for, is moved out of the shipment's transaction. "
                "Breaks proof.state (pickups). The shipment commits as announced; the worker dies, or PostgreSQL goes "
                "away, before the second commit; the next delivery finds it announced and does nothing: the parcels are "
                "never expected",
        "edits": [
            ("lagerhaus/announcing.py", "        uow.pickups.expect(shipment.pickup_id, shipment.parcels)\n        uow.dead_letters.withdraw(TASK, shipment_no)\n        uow.commit()\n    return \"announced\"",
             "        uow.dead_letters.withdraw(TASK, shipment_no)\n        uow.commit()\n    with UnitOfWork() as uow:\n        uow.pickups.expect(shipment.pickup_id, shipment.parcels)\n        uow.commit()\n    return \"announced\""),
        ],
    },
    {
        "id": "m-3",
        "kind": "mistake",
        "job": "announce-shipment",
        "what": "The job is deferred after the commit, and touched_at is left to the workers. Breaks recovers (chase) and "
                "enqueue. release commits 'released'; the process dies, or the queue's INSERT fails, before the job is "
                "there; a second click changes nothing, and for chase touched_at is NULL, which is not before anything: "
                "the shipment is never announced",
        "edits": [
            ("lagerhaus/model.py", "self.status, self.client_reference, self.touched_at = \"released\", reference, now",
             "self.status, self.client_reference = \"released\", reference"),
            ("lagerhaus/model.py", "    def release(self, reference: UUID, now: datetime) -> bool:", "    def release(self, reference: UUID) -> bool:"),
            ("lagerhaus/floor.py", "    \"\"\"The row and its job are committed together, or neither is. A second click changes nothing.\"\"\"\n",
             "    \"\"\"A second click changes nothing.\"\"\"\n"),
            ("lagerhaus/floor.py", "        if shipment.release(uuid4(), clock.utcnow()):\n            uow.shipments.save(shipment)\n            defer(uow.conn, shipment_no)\n        uow.commit()\n",
             "        if not shipment.release(uuid4()):\n            return\n        uow.shipments.save(shipment)\n        uow.commit()\n        # the row's lock is gone by now: the workers' NOTIFY need not wait for it\n        defer(uow.conn, shipment_no)\n        uow.commit()\n"),
            ("README.md", ", and commits it together with the Procrastinate job.", " and defers the Procrastinate job."),
        ],
    },
]
