"""The database: a file on the office server. `python -m tierheim.db [--demo]` creates it."""
import sqlite3
import sys
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone

from .config import Config

SCHEMA = """
create table if not exists adoptions (
    id         integer primary key,
    animal     text not null,
    keeper     text not null,
    email      text not null,
    adopted_on text not null
);
create table if not exists followups (
    id          integer primary key,
    adoption_id integer not null references adoptions(id),
    after_days  integer not null,
    due_on      text not null,
    status      text not null default 'due' check (status in ('due', 'sent', 'parked', 'called_off')),
    attempts    integer not null default 0,
    next_try    text not null default '',
    sent_at     text,
    unique (adoption_id, after_days)
);
create index if not exists followups_due on followups (status, due_on);
create table if not exists parked (
    followup_id integer primary key references followups(id),
    reason      text not null,
    attempts    integer not null,
    parked_at   text not null
);
"""


def now():
    return datetime.now(timezone.utc)


def stamp(moment):
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def connect(path):
    conn = sqlite3.connect(path, timeout=20, isolation_level=None)
    conn.row_factory = sqlite3.Row
    conn.execute("pragma foreign_keys = on")
    return conn


@contextmanager
def transaction(conn):
    conn.execute("begin immediate")
    try:
        yield conn
        conn.execute("commit")
    except BaseException:
        if conn.in_transaction:
            conn.execute("rollback")
        raise


def create(path, demo=False):
    conn = connect(path)
    try:
        conn.executescript(SCHEMA)
        if demo and conn.execute("select count(*) from adoptions").fetchone()[0] == 0:
            from .adoptions import record_adoption

            record_adoption(conn, "Mia", "Jana Probe", "jana@probe.invalid", date.today() - timedelta(days=15))
            record_adoption(conn, "Bruno", "Karl Muster", "karl@probe.invalid", date.today())
    finally:
        conn.close()


if __name__ == "__main__":
    create(Config.from_env().database, demo="--demo" in sys.argv)
