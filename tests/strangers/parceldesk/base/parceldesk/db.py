"""The depot's SQLite file: connections, transactions, tables.

python -m parceldesk.db           creates the tables
python -m parceldesk.db --demo    and books two shipments
"""

import sqlite3
import sys
from contextlib import closing, contextmanager

from .config import load

SCHEMA = """
create table if not exists shipments (
    id integer primary key,
    receiver text not null,
    address text not null
);
create table if not exists parcels (
    shipment_id integer not null references shipments(id),
    parcel integer not null,
    grams integer not null,
    label_state text not null default 'packed',
    request_key text,
    primary key (shipment_id, parcel)
);
create table if not exists labels (
    shipment_id integer not null,
    parcel integer not null,
    tracking text not null,
    label_url text not null,
    printed_at text not null default current_timestamp,
    primary key (shipment_id, parcel)
);
create table if not exists failed_jobs (
    id integer primary key,
    job text not null,
    message text not null unique,
    error text not null,
    failed_at text not null default current_timestamp
);
"""

DEMO = """
insert or ignore into shipments values (1, 'Ada Keller', 'Rheinweg 4, 8462 Rheinau'), (2, 'Ivo Brun', 'Dorfplatz 1, 8447 Dachsen');
insert or ignore into parcels (shipment_id, parcel, grams) values (1, 1, 900), (1, 2, 2400), (2, 1, 310);
"""


def connect():
    con = sqlite3.connect(load().database, timeout=15, isolation_level=None)
    con.row_factory = sqlite3.Row
    con.execute("pragma foreign_keys = on")
    return con


@contextmanager
def transaction():
    """A connection inside one write transaction; commits at the end, rolls back on an error."""
    with closing(connect()) as con:
        con.execute("begin immediate")
        try:
            yield con
        except BaseException:
            con.execute("rollback")
            raise
        con.execute("commit")


@contextmanager
def reading():
    with closing(connect()) as con:
        yield con


def create(demo=False):
    with closing(connect()) as con:
        con.executescript(SCHEMA)
        if demo:
            con.executescript(DEMO)


if __name__ == "__main__":
    create(demo="--demo" in sys.argv)
