"""The database; `python -m parcels.db` creates its tables."""

import os
import sqlite3

TABLES = """
create table if not exists parcels (id integer primary key, address text not null);
create table if not exists announcements (parcel_id integer primary key, address text not null);
create table if not exists dead_announcements (parcel_id text primary key, reason text not null);
"""


def connect() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["PARCELS_DB"], timeout=10.0)


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
