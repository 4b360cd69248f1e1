import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["HINDSIGHT_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table operations (
            id integer primary key, text text, status text default 'pending',
            worker_id text, claimed_at real, attempts integer default 0, vector text
        );
        create table failed_operations (id integer primary key, reason text);
        insert into operations (id, text) values (1, 'first memory'), (2, 'second memory');
    """)
