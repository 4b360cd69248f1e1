import os
import sqlite3

SCHEMA = """
create table webhook_deliveries (id text primary key, status text not null);
create table sync_jobs (delivery_id text primary key, kind text not null);
create table dead_webhooks (message text primary key);
"""
UPSERT = """
insert into webhook_deliveries (id, status) values (?, ?)
on conflict (id) do update set status = excluded.status
"""


def connect():
    return sqlite3.connect(os.environ["LINKER_DB"], timeout=30)


def record(db, delivery_id, status):
    db.execute(UPSERT, (delivery_id, status))


if __name__ == "__main__":
    connect().executescript(SCHEMA)
