"""The queue table. A row is due, locked for a while, opened or parked; each function is one transaction."""
import functools
import sqlite3
import time
import uuid
from dataclasses import dataclass, field

from campingplatz.db import transaction


@dataclass(frozen=True, slots=True)
class Claim:
    id: int
    gate: str
    plate: str = field(repr=False)
    until: str
    attempt: int
    first_try_at: int
    token: str

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


def claim_next(lock_seconds: int) -> Claim | None:
    now = int(time.time())
    token = uuid.uuid4().hex
    with transaction() as conn:
        row = conn.execute(
            """
            update gate_queue
               set attempts = attempts + 1, locked_until = :until, lock_token = :token,
                   first_try_at = coalesce(first_try_at, :now)
             where id = (select id from gate_queue
                          where opened_at is null and parked_at is null
                            and run_after <= :now and locked_until <= :now
                          order by run_after, id limit 1)
            returning id, booking_id, gate, attempts, first_try_at
            """,
            {"now": now, "until": now + lock_seconds, "token": token},
        ).fetchone()
        if row is None:
            return None
        booking = conn.execute("select plate, leaves_on from bookings where id = ?", (row["booking_id"],)).fetchone()
    return Claim(
        row["id"], row["gate"], booking["plate"], booking["leaves_on"], row["attempts"], row["first_try_at"], token
    )


@again_if_busy
def opened(claim: Claim, receipt: str) -> bool:
    """It is open, whoever holds the row by now and whatever he has made of it."""
    with transaction() as conn:
        return bool(
            conn.execute(
                "update gate_queue set opened_at = ?, receipt = ?, parked_at = null, last_error = null,"
                " locked_until = 0, lock_token = null where id = ? and opened_at is null",
                (int(time.time()), receipt, claim.id),
            ).rowcount
        )


@again_if_busy
def put_off(claim: Claim, wait: int, error: str) -> bool:
    with transaction() as conn:
        return bool(
            conn.execute(
                "update gate_queue set run_after = ?, last_error = ?, locked_until = 0, lock_token = null"
                " where id = ? and lock_token = ? and opened_at is null and parked_at is null",
                (int(time.time()) + wait, error[:200], claim.id, claim.token),
            ).rowcount
        )


@again_if_busy
def park(claim: Claim, error: str) -> bool:
    with transaction() as conn:
        return bool(
            conn.execute(
                "update gate_queue set parked_at = ?, last_error = ?, locked_until = 0, lock_token = null"
                " where id = ? and lock_token = ? and opened_at is null and parked_at is null",
                (int(time.time()), error[:200], claim.id, claim.token),
            ).rowcount
        )
