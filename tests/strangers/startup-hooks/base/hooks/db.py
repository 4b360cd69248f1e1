import contextlib
import sqlite3
import sys

from . import settings

SCHEMA = """
create table if not exists partners (name text primary key, url text not null, secret text not null,
    active integer not null default 1, billed_calls integer not null default 0);
create table if not exists events (id text primary key, kind text not null, body text not null);
create table if not exists deliveries (event_id text not null, partner text not null,
    status text not null default 'pending',  -- pending, sent, dead
    receipt text, primary key (event_id, partner));
create table if not exists dead_jobs (job text not null, payload text not null, error text not null,
    at text not null default current_timestamp, primary key (job, payload));
"""


@contextlib.contextmanager
def tx():
    """One write transaction; the lock is taken at once."""
    db = sqlite3.connect(settings.DB, timeout=20, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        db.execute("begin immediate")
        yield db
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
    finally:
        db.close()


def one(sql, *args):
    db = sqlite3.connect(settings.DB, timeout=20)
    db.row_factory = sqlite3.Row
    try:
        return db.execute(sql, args).fetchone()
    finally:
        db.close()


def create(demo=True):
    db = sqlite3.connect(settings.DB)
    db.executescript(SCHEMA)
    if demo:
        for name in ("acme", "globex"):
            db.execute("insert into partners (name, url, secret) values (?, ?, 's3cret')", (name, f"https://{name}.example/in"))
        for event in ("evt-1", "evt-2"):
            db.execute("insert into events values (?, 'order.paid', '{\"total\": 12}')", (event,))
            db.executemany("insert into deliveries (event_id, partner) values (?, ?)", [(event, "acme"), (event, "globex")])
    db.commit()
    db.close()


if __name__ == "__main__":
    create(demo="--empty" not in sys.argv)
