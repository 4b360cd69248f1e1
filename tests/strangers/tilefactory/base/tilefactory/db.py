"""SQLite: connections, transactions and the schema."""
import argparse
import sqlite3
from contextlib import contextmanager

from tilefactory import settings

SCHEMA = """
create table if not exists layers (
    name      text primary key,
    published integer not null default 0
);
create table if not exists batches (
    id          integer primary key,
    layer       text not null references layers(name),
    status      text not null default 'ready' check (status in ('ready', 'done', 'dead')),
    attempts    integer not null default 0,
    released_at real,
    enqueued_at real,
    touched_at  real
);
create table if not exists features (
    id        integer primary key,
    layer     text not null references layers(name),
    name      text not null,
    geometry  text not null,
    batch_id  integer references batches(id),
    published integer not null default 0
);
create table if not exists artifacts (
    batch_id integer primary key references batches(id),
    key      text not null unique,
    sha256   text not null,
    features integer not null
);
create table if not exists dead_letters (
    message   text primary key,
    batch_id  integer,
    reason    text not null,
    attempts  integer not null,
    buried_at real not null
);
"""

SAMPLE = """
insert into layers (name) values ('roads'), ('rivers');
insert into batches (id, layer) values (1, 'roads'), (2, 'roads'), (3, 'rivers');
insert into features (layer, name, geometry, batch_id) values
    ('roads', 'A1', '{"type": "LineString", "coordinates": [[7.4, 46.9], [8.5, 47.3]]}', 1),
    ('roads', 'A2', '{"type": "LineString", "coordinates": [[7.5, 47.5], [8.9, 46.0]]}', 1),
    ('roads', 'A3', '{"type": "LineString", "coordinates": [[7.6, 47.5], [9.5, 46.8]]}', 2),
    ('rivers', 'Aare', '{"type": "LineString", "coordinates": [[8.2, 46.5], [8.2, 47.6]]}', 3),
    ('rivers', 'Reuss', '{"type": "LineString", "coordinates": [[8.5, 46.5], [8.2, 47.5]]}', 3);
"""


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(settings.load().db, timeout=20, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma foreign_keys = on")
    return connection


@contextmanager
def transaction():
    """A transaction that holds the write lock from its first statement on."""
    connection = connect()
    try:
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    finally:
        connection.close()


def create(sample: bool = False) -> None:
    connection = connect()
    connection.execute("pragma journal_mode = wal")
    connection.executescript(SCHEMA)
    if sample:
        connection.executescript(SAMPLE)
    connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Create the tables.")
    parser.add_argument("--sample", action="store_true", help="with a few layers and batches")
    create(parser.parse_args().sample)
