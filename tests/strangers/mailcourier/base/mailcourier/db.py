import sqlite3
import sys
import time
from contextlib import contextmanager

from . import config

SCHEMA = """
create table if not exists subscribers (
    id integer primary key,
    email text not null unique,
    name text not null,
    active integer not null default 1
);
create table if not exists issues (
    id integer primary key,
    subject text not null,
    body text not null,
    send_at integer not null,
    laid_out integer not null default 0
);
-- pending: not in the queue yet; queued; sending; then sent, skipped (unsubscribed) or failed.
-- due_at: from then on somebody else may take the delivery up: its message or its worker is lost.
create table if not exists deliveries (
    issue_id integer not null references issues(id),
    subscriber_id integer not null references subscribers(id),
    status text not null default 'pending',
    attempts integer not null default 0,
    due_at integer not null default 0,
    message_id text,
    sent_at integer,
    primary key (issue_id, subscriber_id)
);
create index if not exists deliveries_open on deliveries (status, due_at);
create table if not exists undeliverable (
    id integer primary key,
    issue_id integer,
    subscriber_id integer,
    task_id text unique,
    message text not null,
    reason text not null,
    failed_at integer not null
);
"""


@contextmanager
def transaction():
    """A connection with a write transaction, committed at the end."""
    con = sqlite3.connect(config.DATABASE, timeout=20, isolation_level=None)
    con.row_factory = sqlite3.Row
    con.execute("pragma foreign_keys = on")
    try:
        con.execute("begin immediate")
        try:
            yield con
        except BaseException:
            con.execute("rollback")
            raise
        con.execute("commit")
    finally:
        con.close()


def create():
    con = sqlite3.connect(config.DATABASE)
    con.execute("pragma journal_mode=wal")
    con.executescript(SCHEMA)
    con.close()


def demo():
    now = int(time.time())
    with transaction() as con:
        con.executemany(
            "insert into subscribers (id, email, name) values (?, ?, ?)",
            [(1, "ada@example.org", "Ada"), (2, "ben@example.org", "Ben")],
        )
        con.executemany(
            "insert into issues (id, subject, body, send_at, laid_out) values (?, ?, ?, ?, 1)",
            [(1, "Spring", "It is spring.", now - 3600), (2, "Bees", "They are back.", now - 60)],
        )
        con.executemany(
            "insert into deliveries (issue_id, subscriber_id, status, due_at) values (?, ?, ?, ?)",
            [(1, 1, "pending", 0), (1, 2, "queued", now + 600), (2, 1, "queued", now + 600)],
        )


if __name__ == "__main__":
    create()
    if "--demo" in sys.argv:
        demo()
