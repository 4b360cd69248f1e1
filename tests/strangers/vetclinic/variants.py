"""One more way to be right, three ways not to be."""

from pathlib import Path

_BASE = Path(__file__).resolve().parent / "base"
LEDGER = "vetclinic/ledger.py"
SPEC = ".skillrun/jobs/book-lab-test.yaml"
TESTS = "tests/test_book_lab_test.py"


def _text(path):
    return (_BASE / path).read_text()


EVENTS_LEDGER = '''"""What happened to a request is a list of events, each of which can be there once. Who is at it stands in leases."""

import json
import time
from dataclasses import dataclass
from uuid import uuid4

from . import config
from .db import connection, transaction
from .errors import Busy, UnknownRequest, WornOut


@dataclass(frozen=True)
class Claim:
    ref: str
    holder: str
    attempt: int
    animal: str
    panel: str
    owner_phone: str
    lab_order_id: str | None
    texted: bool


async def one(db, sql: str, *values):
    async with db.execute(sql, values) as rows:
        return await rows.fetchone()


async def note(db, ref: str, event: str, value: str = "") -> None:
    await db.execute(
        "insert into events (ref, event, value, at) values (?, ?, ?, ?) on conflict (ref, event) do nothing",
        (ref, event, value, time.time()),
    )


async def add_sample(ref: str, animal: str, panel: str, owner_phone: str) -> None:
    async with transaction() as db:
        await db.execute(
            "insert into samples (ref, animal, panel, owner_phone) values (?, ?, ?, ?) on conflict (ref) do nothing",
            (ref, animal, panel, owner_phone),
        )


async def open_request(ref: str) -> None:
    async with transaction() as db:
        await _open(db, ref)


async def _open(db, ref: str) -> dict:
    sample = await one(db, "select * from samples where ref = ?", ref)
    if sample is None:
        raise UnknownRequest(ref)
    await db.execute(
        "insert into lab_requests (ref, look_at) values (?, ?) on conflict (ref) do nothing", (ref, time.time())
    )
    return dict(sample)


async def claim(ref: str) -> Claim | None:
    now, holder = time.time(), uuid4().hex
    async with transaction() as db:
        sample = await _open(db, ref)
        row = await one(db, "select status, attempts from lab_requests where ref = ?", ref)
        if row["status"] != "open":
            return None
        mine = await one(
            db,
            "insert into leases (ref, holder, until) values (?, ?, ?) on conflict (ref) do update"
            " set holder = excluded.holder, until = excluded.until where leases.until <= ? returning holder",
            ref,
            holder,
            now + config.LEASE_SECONDS,
            now,
        )
        if mine is None:
            raise Busy(ref)
        if row["attempts"] >= config.MAX_ATTEMPTS:
            raise WornOut(ref)
        await db.execute(
            "update lab_requests set attempts = attempts + 1, look_at = ? where ref = ?",
            (now + config.STUCK_SECONDS, ref),
        )
        async with db.execute("select event, value from events where ref = ?", (ref,)) as rows:
            events = {row["event"]: row["value"] for row in await rows.fetchall()}
    return Claim(
        holder=holder,
        attempt=row["attempts"] + 1,
        lab_order_id=events.get("ordered"),
        texted="texted" in events,
        **sample,
    )


async def let_go(claim: Claim) -> None:
    async with transaction() as db:
        await _release(db, claim)


async def _release(db, claim: Claim) -> None:
    await db.execute("delete from leases where ref = ? and holder = ?", (claim.ref, claim.holder))


async def ordered(claim: Claim, lab_order_id: str) -> None:
    async with transaction() as db:
        await note(db, claim.ref, "ordered", lab_order_id)


async def booked(claim: Claim) -> None:
    async with transaction() as db:
        await note(db, claim.ref, "texted")
        await db.execute("update lab_requests set status = 'booked' where ref = ? and status = 'open'", (claim.ref,))
        await _release(db, claim)


async def attempts(ref: str) -> int:
    async with connection() as db:
        row = await one(db, "select attempts from lab_requests where ref = ?", ref)
    return row["attempts"] if row else 0


async def expect(ref: str, delay: float) -> None:
    """A message is under way that arrives after that delay; until then the rescue need not look."""
    async with transaction() as db:
        await db.execute(
            "update lab_requests set look_at = ? where ref = ? and status = 'open'",
            (time.time() + delay + config.STUCK_SECONDS, ref),
        )


async def bury(key: str, payload: dict, error: str, attempt: int) -> bool:
    """False where it has ended otherwise, or where somebody is at it who will decide."""
    now = time.time()
    async with transaction() as db:
        ended = await one(db, "select 1 from lab_requests where ref = ? and status <> 'open'", key)
        if ended or await one(db, "select 1 from leases where ref = ? and until > ?", key, now):
            return False
        await db.execute("update lab_requests set status = 'dead' where ref = ?", (key,))
        await db.execute(
            "insert into dead_letters (key, payload, error, attempts, died_at) values (?, ?, ?, ?, ?)"
            " on conflict (key) do nothing",
            (key, json.dumps(payload, default=repr)[:500], error, attempt, now),
        )
    return True


async def overdue() -> list[str]:
    async with connection() as db:
        async with db.execute(
            "select ref from lab_requests where status = 'open' and look_at <= ? order by look_at limit 100",
            (time.time(),),
        ) as rows:
            return [row["ref"] for row in await rows.fetchall()]
'''

VARIANTS = [
    # ---------------------------------------------------------------- right as well
    {
        "id": "ok-events-and-leases",
        "kind": "correct",
        "job": "book-lab-test",
        "what": "What was done is remembered in a table of events (one of each kind for a ref), the lock is a row of a table"
        " of leases taken by a conditional upsert; logfmt instead of JSON.",
        "edits": [
            (LEDGER, _text(LEDGER), EVENTS_LEDGER),
            (
                "vetclinic/db.py",
                '''    lab_order_id text,
    texted_at    real,
    attempts     integer not null default 0,
    holder       text,
    held_until   real not null default 0,
    look_at      real not null
);
''',
                '''    attempts     integer not null default 0,
    look_at      real not null
);
create table if not exists events (
    ref   text not null references samples (ref),
    event text not null check (event in ('ordered', 'texted')),
    value text not null,
    at    real not null,
    primary key (ref, event)
);
create table if not exists leases (
    ref    text primary key,
    holder text not null,
    until  real not null
);
''',
            ),
            (
                "vetclinic/logs.py",
                "            structlog.processors.JSONRenderer(sort_keys=True),\n",
                "            structlog.processors.LogfmtRenderer(key_order=['timestamp', 'level', 'event', 'job', 'key']),\n",
            ),
            (SPEC, "dedupe: {store: table lab_requests}", "dedupe: {store: table events}"),
            (
                SPEC,
                '''    requests: >-
      select ref, status, lab_order_id, texted_at is not null from lab_requests order by ref
''',
                '''    requests: select ref, status from lab_requests order by ref
    events: select ref, event, value from events order by ref, event
  not_state: [leases]
''',
            ),
            (
                TESTS,
                '''STATE = "select status, lab_order_id, texted_at is not null, held_until from lab_requests"
''',
                '''STATE = """
    select status,
        (select value from events e where e.ref = r.ref and event = 'ordered'),
        (select count(*) from events e where e.ref = r.ref and event = 'texted'),
        (select count(*) from leases l where l.ref = r.ref)
    from lab_requests r
"""
''',
            ),
            ("README.md", "Logs are JSON on stderr", "Logs are logfmt on stderr"),
        ],
    },
    # ---------------------------------------------------------------- not right
    {
        "id": "bad-fresh-key-per-attempt",
        "kind": "mistake",
        "job": "book-lab-test",
        "what": "Breaks the keyed guarantee of the order (and one piece of work per ref). The lab answers a known key with its"
        " stored answer, also a stored 503, so each attempt got a key of its own; the lookup was thought to be"
        " guard enough. The first POST times out at our end while the lab takes a little longer to file it; the"
        " second attempt asks, the order is not to be found yet, and orders again under another key. Both are filed.",
        "edits": [
            (
                "vetclinic/tasks.py",
                '''    """An earlier attempt may have ordered without hearing of it."""
''',
                '''    """An earlier attempt may have ordered without hearing of it. The key is the attempt's own: the lab repeats
    its answer to a known key, errors included."""
''',
            ),
            (
                "vetclinic/tasks.py",
                '''    return await lab.place_order(
        reference=claim.ref, panel=claim.panel, animal=claim.animal, idempotency_key=f"order-{claim.ref}"
    )
''',
                '''    key = f"order-{claim.ref}" if claim.attempt == 1 else f"order-{claim.ref}-{claim.attempt}"
    return await lab.place_order(
        reference=claim.ref, panel=claim.panel, animal=claim.animal, idempotency_key=key
    )
''',
            ),
        ],
    },
    {
        "id": "bad-dead-in-two-steps",
        "kind": "mistake",
        "job": "book-lab-test",
        "what": "Breaks the dead letter. The request is closed in one transaction, its letter written in another (a helper that"
        " also serves messages without a request). The fifth attempt fails, status = 'dead' is committed, the worker"
        " is killed or the insert fails. The message was not acknowledged and comes again, finds 'dead' and is"
        " done with as ended_before; the rescue looks at open rows only: no dead letter, ever.",
        "edits": [
            (
                LEDGER,
                '''            await db.execute("update lab_requests set status = 'dead' where ref = ?", (key,))
        await db.execute(
            "insert into dead_letters (key, payload, error, attempts, died_at) values (?, ?, ?, ?, ?)"
            " on conflict (key) do nothing",
            (key, json.dumps(payload, default=repr)[:500], error, attempt, now),
        )
    return True
''',
                '''            await db.execute("update lab_requests set status = 'dead' where ref = ?", (key,))
    await write_letter(key, payload, error, attempt)
    return True


async def write_letter(key: str, payload: dict, error: str, attempt: int) -> None:
    async with transaction() as db:
        await db.execute(
            "insert into dead_letters (key, payload, error, attempts, died_at) values (?, ?, ?, ?, ?)"
            " on conflict (key) do nothing",
            (key, json.dumps(payload, default=repr)[:500], error, attempt, time.time()),
        )
''',
            ),
        ],
    },
    {
        "id": "bad-rescue-skips-ordered",
        "kind": "mistake",
        "job": "book-lab-test",
        "what": "Breaks recovers (rescue.requeue brings a job back where it was not done). After it had queued requests again"
        " that were at the lab long since, the rescue leaves alone what has an order id. The order is committed,"
        " the SMS gateway answers 503, the retry is planned in redis and lost there (restart without its file, or"
        " the scheduler dies between taking and sending it): the row stays open for ever, the owner is never"
        " texted, and no dead letter says so.",
        "edits": [
            (
                LEDGER,
                '''            "select ref from lab_requests where status = 'open' and look_at <= ? order by look_at limit 100",
''',
                '''            "select ref from lab_requests where status = 'open' and lab_order_id is null and look_at <= ?"
            " order by look_at limit 100",
''',
            ),
            (
                "vetclinic/rescue.py",
                '''    """Queue again what is open, and of which nobody has heard when it was due."""
''',
                '''    """Queue again what the lab has not got yet, and of which nobody has heard when it was due."""
''',
            ),
        ],
    },
]
