import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["MARKET_DB"], timeout=30)


def mails_sent(cycle):
    with connect() as db:
        return db.execute("select mails_sent from cycles where id = ?", (cycle,)).fetchone()


def suppliers(cycle):
    with connect() as db:
        return db.execute("select name, address from suppliers where cycle = ? order by name", (cycle,)).fetchall()


def close(cycle):
    with connect() as db:
        db.execute("update cycles set mails_sent = 1 where id = ?", (cycle,))


def bury(message, reason):
    with connect() as db:
        db.execute("insert or ignore into dead_jobs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table cycles (id integer primary key, mails_sent integer default 0);
        create table suppliers (cycle integer, name text, address text, primary key (cycle, name));
        create table dead_jobs (message text primary key, reason text);
        insert into cycles (id) values (1), (2);
        insert into suppliers (cycle, name, address) values
            (1, 'bakery', 'b@farm.example'), (1, 'dairy', 'd@farm.example'), (1, 'orchard', 'o@farm.example'),
            (2, 'dairy', 'd@farm.example');
    """)
