import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["BRIEFS_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table briefs (name text primary key, channel text, next_run_at text, last_run_at text);
        create table runs (name text, slot text);
        create table failed_runs (name text, slot text, primary key (name, slot));
        insert into briefs values ('portfolio', 'finance', '2026-07-20T08:00:00+00:00', null);
    """)
