import os
import sqlite3

SCHEMA = """
create table members (email text primary key, tier text not null default 'free');
create table processed_events (event_id text primary key, error integer not null);
create table dead_events (message text primary key, reason text);
insert into members (email) values ('a@labs.example'), ('b@labs.example');
"""


def connect():
    return sqlite3.connect(os.environ["LABS_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript(SCHEMA)
