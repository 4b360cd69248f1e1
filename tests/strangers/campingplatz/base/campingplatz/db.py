"""python -m campingplatz.db [--demo]"""
import sqlite3
import sys
import time
from contextlib import contextmanager

from campingplatz.settings import Settings

SCHEMA = """
create table if not exists bookings (
    id integer primary key,
    guest text not null,
    plate text not null,
    pitch text not null,
    leaves_on text not null,
    status text not null default 'booked' check (status in ('booked', 'arrived'))
);
create table if not exists gate_queue (
    id integer primary key,
    booking_id integer not null references bookings (id),
    gate text not null,
    attempts integer not null default 0,
    run_after integer not null,
    locked_until integer not null default 0,
    lock_token text,
    first_try_at integer,
    last_error text,
    opened_at integer,
    receipt text,
    parked_at integer,
    unique (booking_id, gate)
);
create index if not exists gate_queue_due on gate_queue (run_after) where opened_at is null and parked_at is null;
"""


def connect(path: str | None = None) -> sqlite3.Connection:
    conn = sqlite3.connect(path or Settings().database, timeout=20, isolation_level=None)
    conn.row_factory = sqlite3.Row
    conn.execute("pragma foreign_keys = on")
    return conn


@contextmanager
def transaction(path: str | None = None):
    """A connection that holds the write lock until it commits."""
    conn = connect(path)
    try:
        conn.execute("begin immediate")
        try:
            yield conn
            conn.execute("commit")
        except BaseException:
            if conn.in_transaction:
                conn.execute("rollback")
            raise
    finally:
        conn.close()


def main(argv: list[str]) -> None:
    conn = connect()
    conn.executescript(SCHEMA)
    conn.close()
    if "--demo" in argv:
        with transaction() as conn:
            conn.executemany(
                "insert or ignore into bookings values (?, ?, ?, ?, ?, ?)",
                [
                    (1, "Familie Nord", "HH-AB 12", "B7", "2031-08-14", "booked"),
                    (2, "Ole Sund", "KI-X 900", "C1", "2031-08-12", "arrived"),
                ],
            )
            conn.execute(
                "insert or ignore into gate_queue (id, booking_id, gate, run_after) values (1, 2, 'main', ?)",
                (int(time.time()),),
            )


if __name__ == "__main__":
    main(sys.argv[1:])
