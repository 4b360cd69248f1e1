"""The database; `python -m accounts.db` creates its tables."""

import os
import sqlite3

import aiosqlite

TABLES = """
create table if not exists users (user_id integer primary key, email text not null);
create table if not exists welcomes (user_id integer primary key, email text not null);
create table if not exists failed_welcomes (user_id text primary key, reason text not null);
"""


def connect() -> aiosqlite.Connection:
    return aiosqlite.connect(os.environ["ACCOUNTS_DB"], timeout=10.0)


if __name__ == "__main__":
    with sqlite3.connect(os.environ["ACCOUNTS_DB"]) as connection:
        connection.executescript(TABLES)
