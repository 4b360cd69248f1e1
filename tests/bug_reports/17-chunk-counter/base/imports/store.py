import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["IMPORTS_DB"], timeout=30)


def save(import_id, chunk, rows):
    with connect() as db:
        db.executemany(
            "insert or replace into import_rows values (?, ?, ?, ?)",
            [(import_id, chunk, position, json.dumps(row)) for position, row in enumerate(rows)],
        )


def count_off(import_id):
    with connect() as db:
        db.execute("update imports set remaining = remaining - 1 where id = ?", (import_id,))
        db.execute("update imports set status = 'complete' where id = ? and remaining = 0", (import_id,))


def bury(message, reason):
    with connect() as db:
        db.execute("insert or ignore into dead_chunks values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table imports (id integer primary key, total integer, remaining integer, status text default 'running');
        create table import_rows (import_id integer, chunk integer, position integer, row text, primary key (import_id, chunk, position));
        create table dead_chunks (message text primary key, reason text);
        insert into imports (id, total, remaining) values (1, 3, 3), (2, 1, 1);
    """)
