"""The database; `python -m museum.db` creates its tables."""

import os
import sqlite3

TABLES = """
create table if not exists sales (id integer primary key, email text not null);
create table if not exists tickets (sale_id integer primary key, email text not null);
create table if not exists dead_tickets (sale_id text primary key, reason text not null);
"""


def connect() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["MUSEUM_DB"], timeout=10.0)


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
