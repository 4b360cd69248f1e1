"""A second camp ground that is right, and one where a gate is open and parked."""

JOB = "open-gate"
SPEC = ".skillrun/jobs/open-gate.yaml"

QUEUE = '''"""The queue table, without a lock that is held: each row has a version, and who changes it names the version he saw."""
import functools
import sqlite3
import time
from dataclasses import dataclass, field

from campingplatz.db import connect


@dataclass(frozen=True, slots=True)
class Claim:
    id: int
    gate: str
    plate: str = field(repr=False)
    until: str
    attempt: int
    first_try_at: int
    version: int

    @property
    def key(self) -> str:
        return f"gate-{self.id}"


def again_if_busy(write):
    """An answer is dear: a hiccup of the disk must not cost it."""

    @functools.wraps(write)
    def wrapper(*args):
        for pause in (0.05, 0.5):
            try:
                return write(*args)
            except sqlite3.OperationalError:
                time.sleep(pause)
        return write(*args)

    return wrapper


def add(conn: sqlite3.Connection, booking_id: int, gate: str) -> None:
    conn.execute(
        "insert into gate_queue (booking_id, gate, run_after) values (?, ?, ?) on conflict (booking_id, gate) do nothing",
        (booking_id, gate, int(time.time())),
    )


def _execute(sql: str, *args) -> int:
    """One statement, one transaction."""
    conn = connect()
    try:
        return conn.execute(sql, args).rowcount
    finally:
        conn.close()


def _due(now: int) -> list[sqlite3.Row]:
    conn = connect()
    try:
        return conn.execute(
            "select q.id, q.gate, q.attempts, q.first_try_at, q.version, b.plate, b.leaves_on"
            "  from gate_queue q join bookings b on b.id = q.booking_id"
            " where q.opened_at is null and q.parked_at is null and q.run_after <= ? and q.locked_until <= ?"
            " order by q.run_after, q.id limit 10",
            (now, now),
        ).fetchall()
    finally:
        conn.close()


def claim_next(lock_seconds: int) -> Claim | None:
    now = int(time.time())
    for row in _due(now):
        first = row["first_try_at"] or now
        if _execute(
            "update gate_queue set version = version + 1, attempts = attempts + 1, locked_until = ?, first_try_at = ?"
            " where id = ? and version = ? and opened_at is null",
            now + lock_seconds,
            first,
            row["id"],
            row["version"],
        ):
            return Claim(
                row["id"], row["gate"], row["plate"], row["leaves_on"], row["attempts"] + 1, first, row["version"] + 1
            )
    return None


@again_if_busy
def opened(claim: Claim, receipt: str) -> bool:
    """No version here: it is open, and nobody's later decision changes that."""
    return bool(
        _execute(
            "update gate_queue set version = version + 1, opened_at = ?, receipt = ?, parked_at = null,"
            " last_error = null, locked_until = 0 where id = ? and opened_at is null",
            int(time.time()),
            receipt,
            claim.id,
        )
    )


@again_if_busy
def put_off(claim: Claim, wait: int, error: str) -> bool:
    return bool(
        _execute(
            "update gate_queue set version = version + 1, run_after = ?, last_error = ?, locked_until = 0"
            " where id = ? and version = ? and opened_at is null",
            int(time.time()) + wait,
            error[:200],
            claim.id,
            claim.version,
        )
    )


@again_if_busy
def park(claim: Claim, error: str) -> bool:
    return bool(
        _execute(
            "update gate_queue set version = version + 1, parked_at = ?, last_error = ?, locked_until = 0"
            " where id = ? and version = ? and opened_at is null",
            int(time.time()),
            error[:200],
            claim.id,
            claim.version,
        )
    )
'''

KEEPER = '''"""The poller: python -m campingplatz.gatekeeper (deploy/gatekeeper.service)

A row is claimed, judged and recorded; only judge() talks to the barrier, and only record() to the table.
"""
import logging
import signal
import time
import uuid
from dataclasses import dataclass

from campingplatz import gate_queue
from campingplatz.barrier import Barrier
from campingplatz.gate_queue import Claim
from campingplatz.http import Refused, Unavailable
from campingplatz.settings import Settings

logger = logging.getLogger("campingplatz.gatekeeper")

BATCH = 50


@dataclass(frozen=True)
class Opened:
    receipt: str


@dataclass(frozen=True)
class Deferred:
    wait: int
    reason: str


@dataclass(frozen=True)
class Parked:
    reason: str


Outcome = Opened | Deferred | Parked


def judge(claim: Claim, barrier: Barrier, settings: Settings) -> Outcome:
    if claim.attempt > settings.tries:
        return Parked(f"{settings.tries} tries, the last without an end")
    if time.time() - claim.first_try_at > settings.key_seconds:
        return Parked("too late to ask again under the same key")
    try:
        return Opened(barrier.open(gate=claim.gate, plate=claim.plate, until=claim.until, key=claim.key))
    except Refused as error:
        return Parked(f"refused: {error}")
    except Unavailable as error:
        reason = str(error)
    except Exception as error:
        reason = type(error).__name__
    if claim.attempt == settings.tries:
        return Parked(reason)
    return Deferred(settings.waits[claim.attempt - 1], reason)


def record(claim: Claim, outcome: Outcome) -> tuple[int, str]:
    """How loud, and what became of it."""
    match outcome:
        case Opened(receipt):
            return logging.INFO, "opened" if gate_queue.opened(claim, receipt) else "known"
        case Deferred(wait, reason):
            return logging.WARNING, "retry" if gate_queue.put_off(claim, wait, reason) else "superseded"
        case Parked(reason):
            return logging.ERROR, "parked" if gate_queue.park(claim, reason) else "superseded"


def run_once() -> int:
    settings = Settings()
    barrier = Barrier.from_settings(settings)
    run = uuid.uuid4().hex[:10]
    for done in range(BATCH):
        claim = gate_queue.claim_next(settings.lock_seconds)
        if claim is None:
            return done
        about = f"job=open-gate run={run} key={claim.key}"
        logger.info("%s outcome=started attempt=%d", about, claim.attempt)
        try:
            outcome = judge(claim, barrier, settings)
            level, what = record(claim, outcome)
        except Exception as error:
            logger.error("%s outcome=interrupted attempt=%d reason=%s", about, claim.attempt, type(error).__name__)
            continue
        logger.log(level, "%s outcome=%s attempt=%d %s", about, what, claim.attempt, outcome)
    return BATCH


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while True:
        try:
            run_once()
        except Exception as error:
            logger.error("job=open-gate outcome=interrupted reason=%s", type(error).__name__)
        if stopping:
            return
        time.sleep(Settings().poll_seconds)


if __name__ == "__main__":
    main()
'''

VARIANTS = [
    dict(
        id="ok-versions",
        kind="correct",
        job=JOB,
        what="Optimistic: a version column instead of a lock token, single autocommitted statements that name the version"
        " they saw; a function that judges and returns a value, and one that records it, instead of a class; plain %s lines.",
        edits=[
            ("campingplatz/gate_queue.py", "", QUEUE),
            ("campingplatz/gatekeeper.py", "", KEEPER),
            ("campingplatz/db.py", "    lock_token text,\n", "    version integer not null default 0,\n"),
            (
                "campingplatz/reception.py",
                "set parked_at = null, attempts = 0, run_after = ? where",
                "set version = version + 1, parked_at = null, attempts = 0, run_after = ? where",
            ),
            (
                "README.md",
                "A row is locked for a minute (`locked_until`, `lock_token`)",
                "A row is left alone for a minute (`locked_until`; its `version` says whose it is)",
            ),
            (SPEC, "(opened_at, parked_at, lock_token)", "(opened_at, parked_at, version)"),
        ],
    ),
    dict(
        id="m-holder-writes",
        kind="mistake",
        job=JOB,
        what="opened() too writes only where the row still has the claim's lock_token, like put_off() and park(). Promise:"
        " idempotency (the receipt is written once; the end is that of an undisturbed run) and dead_letter (parked is what"
        " could not be opened). The barrier's answer to the sixth try is late: the lock runs out; another poll claims the row"
        " as the seventh, parks it and takes the token away; then the answer arrives, the gate is open, the receipt is thrown"
        " away as 'known' and the row stays parked. The same where the second poller's own try fails for good.",
        edits=[
            (
                "campingplatz/gate_queue.py",
                '''    """It is open, whoever holds the row by now and whatever he has made of it."""
''',
                '''    """It is open."""
''',
            ),
            (
                "campingplatz/gate_queue.py",
                '''                "update gate_queue set opened_at = ?, receipt = ?, parked_at = null, last_error = null,"
                " locked_until = 0, lock_token = null where id = ? and opened_at is null",
                (int(time.time()), receipt, claim.id),
''',
                '''                "update gate_queue set opened_at = ?, receipt = ?, last_error = null, locked_until = 0,"
                " lock_token = null where id = ? and lock_token = ? and opened_at is null",
                (int(time.time()), receipt, claim.id, claim.token),
''',
            ),
            (
                "README.md",
                '''Whoever hears that the gate is open writes it down, lock or no lock; whoever fails may only put
off or park a row that he still holds.
''',
                '''Only who holds a row writes to it.
''',
            ),
        ],
    ),
]
