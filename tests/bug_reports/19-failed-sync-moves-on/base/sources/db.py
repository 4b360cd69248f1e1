import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["SOURCES_DB"], timeout=30)


def last_sync(source):
    with connect() as con:
        return con.execute("select last_sync_at from sources where name = ?", (source,)).fetchone()


def save(source, items):
    with connect() as con:
        con.executemany("insert or replace into documents values (?, ?, ?)", [(source, item["id"], item["text"]) for item in items])


def touch(source, moment):
    with connect() as con:
        con.execute("update sources set last_sync_at = ? where name = ?", (moment, source))


def bury(message, reason):
    with connect() as con:
        con.execute("insert or ignore into failed_syncs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table sources (name text primary key, last_sync_at text not null);
        create table documents (source text, id text, text text, primary key (source, id));
        create table failed_syncs (message text primary key, reason text);
        insert into sources values ('wiki', '2020-01-01T00:00:00+00:00'), ('tracker', '2020-01-01T00:00:00+00:00');
    """)
