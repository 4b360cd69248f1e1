import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["ALERTS_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table messages (id text primary key, created_at text, processed integer default 0);
        create table digest_runs (id text primary key, created_at text, processed integer default 0);
        create table lost_hope (message text primary key, reason text);
    """)
