"""python -m foodbank.schema [--demo]"""
import contextlib
import sqlite3
import sys
import time

from foodbank import conf

TABLES = """
create table if not exists drivers (
    id integer primary key,
    name text not null,
    phone text not null,
    trips integer not null default 0
);
create table if not exists pickups (
    id integer primary key,
    partner text not null,
    driver_id integer not null references drivers (id),
    day text not null,
    crates integer not null,
    status text not null default 'open' check (status in ('open', 'booked', 'told', 'failed')),
    slot_id text,
    slot_from text,
    sms_id text,
    starts integer not null default 0,
    first_try_at real,
    touched_at real
);
create table if not exists outbox (
    id integer primary key,
    pickup_id integer not null references pickups (id),
    written_at real not null,
    sent_at real
);
create table if not exists dead_letters (
    id integer primary key,
    subject text not null unique,
    actor text not null,
    message_id text not null,
    payload text not null,
    error text not null,
    attempt integer not null,
    died_at real not null
);
"""

DEMO = """
insert into drivers (id, name, phone) values (1, 'Ruth', '+41790000001'), (2, 'Emil', '+41790000002');
insert into pickups (id, partner, driver_id, day, crates) values
    (1, 'migros-west', 1, '2031-05-02', 6),
    (2, 'bakery-lindt', 1, '2031-05-02', 2),
    (3, 'coop-bahnhof', 2, '2031-05-03', 9);
"""


def connect():
    db = sqlite3.connect(conf.DB, timeout=15, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("pragma foreign_keys = on")
    return db


@contextlib.contextmanager
def writing():
    """One transaction that holds the write lock from its start."""
    db = connect()
    try:
        db.execute("begin immediate")
        try:
            yield db
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise
    finally:
        db.close()


@contextlib.contextmanager
def reading():
    db = connect()
    try:
        yield db
    finally:
        db.close()


def now():
    return time.time()


def create(demo=False):
    with reading() as db:
        db.execute("pragma journal_mode = wal")
        db.executescript(TABLES)
        if demo:
            db.executescript(DEMO)


if __name__ == "__main__":
    create(demo="--demo" in sys.argv[1:])
