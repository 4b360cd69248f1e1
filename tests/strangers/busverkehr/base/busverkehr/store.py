"""The counter's database."""
import sqlite3
import sys
from contextlib import closing, contextmanager

from busverkehr import config

SCHEMA = """
create table if not exists replacements (
    id integer primary key,
    ticket_no text not null unique,
    holder text not null,
    street text not null,
    town text not null,
    zones text not null,
    valid_until text not null,
    reported_at integer not null,
    status text not null default 'open' check (status in ('open', 'ordered', 'failed')),
    tries integer not null default 0,
    first_try_at integer,
    next_try_at integer not null default 0,
    printer_job text
);
create index if not exists replacements_due on replacements (status, next_try_at);
create table if not exists failed_orders (
    replacement_id integer primary key references replacements (id),
    reason text not null,
    failed_at integer not null
);
"""

EXAMPLES = [
    (1, "A-100234", "Hanna Vogt", "Mühlweg 3", "4400 Steyr", "1-4", "2027-03-31", 1780000000),
    (2, "A-100871", "Jakob Wieser", "Am Anger 12", "4407 Dietach", "1-2", "2027-01-31", 1780000060),
    (3, "S-020017", "Mira Öllinger", "Bahnstraße 40", "4400 Steyr", "1-8", "2027-06-30", 1780000120),
]


def connect():
    connection = sqlite3.connect(config.database(), timeout=20, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma foreign_keys = on")
    return connection


@contextmanager
def transaction(connection):
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def create(examples=False):
    with closing(connect()) as connection:
        connection.executescript(SCHEMA)
        if examples:
            with transaction(connection):
                connection.executemany(
                    "insert or ignore into replacements"
                    " (id, ticket_no, holder, street, town, zones, valid_until, reported_at)"
                    " values (?, ?, ?, ?, ?, ?, ?, ?)",
                    EXAMPLES,
                )


if __name__ == "__main__":
    create(examples="--examples" in sys.argv)
