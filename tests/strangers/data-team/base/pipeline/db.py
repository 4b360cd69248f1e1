"""Plain sqlite3. `writing()` is the one way to change something: one immediate transaction, or nothing."""
import sqlite3
from contextlib import contextmanager

from . import config

TABLES = """
create table if not exists batches (
    batch_id text primary key, source text not null, row_count integer not null);
create table if not exists readings (
    sensor text not null, at text not null, value real not null, source text not null, primary key (sensor, at));
create table if not exists source_totals (
    source text primary key, batches integer not null, row_count integer not null);
create table if not exists dead_batches (
    message_id text primary key, batch_id text, message text not null, error text not null, at text default current_timestamp);
create table if not exists exports (
    id integer primary key, source text not null, day text not null, status text not null default 'pending',
    attempts integer not null default 0, location text, unique (source, day));
create table if not exists dead_exports (
    export_id integer primary key references exports (id), error text not null, at text default current_timestamp);
"""


def connect():
    db = sqlite3.connect(config.DB, timeout=20, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def reading():
    db = connect()
    try:
        yield db
    finally:
        db.close()


@contextmanager
def writing():
    with reading() as db:
        db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            db.execute("rollback")
            raise
        db.execute("commit")


def initdb():
    with reading() as db:
        db.executescript(TABLES)
