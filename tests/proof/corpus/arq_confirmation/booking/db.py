"""The database; `python -m booking.db` creates its tables."""

import os
import sqlite3

TABLES = """
create table if not exists bookings (id integer primary key, email text not null);
create table if not exists confirmations (booking_id integer primary key, email text not null);
create table if not exists dead_confirmations (booking_id text primary key, reason text not null);
"""


def connect() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["BOOKING_DB"], timeout=10.0)


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
