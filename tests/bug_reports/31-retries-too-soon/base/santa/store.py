import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["SANTA_DB"], timeout=30)


def load(pairing):
    with connect() as db:
        return db.execute("select giver, receiver, told from pairings where id = ?", (pairing,)).fetchone()


def mark_told(pairing):
    with connect() as db:
        db.execute("update pairings set told = 1 where id = ?", (pairing,))


def bury(message, reason):
    with connect() as db:
        db.execute("insert or ignore into dead_jobs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table pairings (id integer primary key, giver text, receiver text, told integer default 0);
        create table dead_jobs (message text primary key, reason text);
        insert into pairings (id, giver, receiver) values (1, 'kim@x.example', 'Lee'), (2, 'lee@x.example', 'Kim');
    """)
