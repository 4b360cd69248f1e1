import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["OUTPOST_DB"], timeout=30)


def setup():
    connect().executescript("""
        create table events (id text primary key, body text);
        create table delivered (key text primary key);
        create table attempts (event text, destination text, request text, primary key (event, destination, request));
        create table dead (message text primary key, reason text);
        insert into events values ('ev1', 'user.created'), ('ev2', 'user.removed');
    """)


if __name__ == "__main__":
    setup()
