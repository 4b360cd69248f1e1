import os
import sqlite3


def connect():
    db = sqlite3.connect(os.environ["CREDITS_DB"], timeout=30)
    db.row_factory = sqlite3.Row
    return db


if __name__ == "__main__":
    connect().executescript("""
        create table reservations (id text primary key, org text, reserved integer, settled integer);
        create table unsettled (message text primary key, reason text);
        insert into reservations (id, org, reserved) values ('res-1', 'acme', 100), ('res-2', 'acme', 100), ('res-3', 'zeta', 50);
    """)
