import json
import os
import sqlite3

PAGE = 2


def connect():
    return sqlite3.connect(os.environ["SYNCER_DB"], timeout=30)


def cursor_of(target):
    with connect() as db:
        row = db.execute("select cursor from targets where name = ?", (target,)).fetchone()
        return None if row is None else row[0]


def page(after):
    with connect() as db:
        return db.execute("select id, body from rows where id > ? order by id limit ?", (after, PAGE)).fetchall()


def move_cursor(target, cursor):
    with connect() as db:
        db.execute("update targets set cursor = max(cursor, ?) where name = ?", (cursor, target))


def bury(message, reason):
    with connect() as db:
        db.execute("insert or ignore into dead_syncs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table rows (id integer primary key, body text);
        create table targets (name text primary key, cursor integer default 0);
        create table dead_syncs (message text primary key, reason text);
        insert into rows (body) values ('a'), ('b'), ('c'), ('d'), ('e');
        insert into targets (name) values ('warehouse'), ('crm');
    """)
