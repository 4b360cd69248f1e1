"""The database; `python -m clinic.db` creates its tables."""

import os
import sqlite3

TABLES = """
create table if not exists appointments (id integer primary key, phone text not null);
create table if not exists reminders (appointment_id integer primary key, phone text not null);
create table if not exists dead_reminders (appointment_id text primary key, reason text not null);
"""


def connect() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["CLINIC_DB"], timeout=10.0)


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
