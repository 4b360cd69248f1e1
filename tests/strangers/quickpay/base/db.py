import os
import sqlite3
from contextlib import closing, contextmanager

SCHEMA = """
create table if not exists orders (
    id integer primary key,
    customer text not null,
    amount integer not null,
    status text not null default 'queued',  -- queued > charged > done, or declined, or dead
    attempts integer not null default 0,
    first_try integer,
    charge_id text,
    touched integer not null default (unixepoch())
);
create table if not exists dead_jobs (
    order_id text primary key,
    reason text not null,
    at integer not null default (unixepoch())
);
"""


@contextmanager
def tx():
    with closing(sqlite3.connect(os.environ.get("APP_DB", "app.db"), timeout=20)) as con, con:
        con.row_factory = sqlite3.Row
        yield con


def init():
    with tx() as con:
        con.executescript(SCHEMA)


if __name__ == "__main__":  # python db.py: schema and three demo orders
    init()
    with tx() as con:
        con.executemany(
            "insert or ignore into orders (id, customer, amount) values (?, ?, ?)",
            [(1, "cus_ada", 4900), (2, "cus_bob", 900), (3, "cus_eve", 12000)],
        )
