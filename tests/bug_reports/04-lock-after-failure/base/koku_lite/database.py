import os
import sqlite3

SCHEMA = """
create table worker_cache (name text primary key);
create table summaries (provider text, month text, cost real, primary key (provider, month));
create table dead_letters (message text primary key, error text);
"""


def connect():
    return sqlite3.connect(os.environ["KOKU_DB"], timeout=60)


if __name__ == "__main__":
    connect().executescript(SCHEMA)
