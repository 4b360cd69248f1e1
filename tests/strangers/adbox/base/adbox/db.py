import sqlite3
import sys
from contextlib import contextmanager

from . import config

PATH = config.HOME / "adbox.db"

SCHEMA = """
create table if not exists ads (
    ref text primary key,
    customer text not null,
    email text not null,
    heading text not null,
    cents integer not null,
    status text not null default 'received'      -- received, accepted
);
create table if not exists confirmations (
    ref text primary key references ads,
    state text not null default 'open',          -- open, done, dead
    mailed integer not null default 0,
    pushed integer not null default 0,
    tries integer not null default 0,            -- attempts that failed in good order
    crashes integer not null default 0,          -- attempts in a row that never ended
    due_at real not null                         -- nobody need worry before this
);
create table if not exists graveyard (
    task_id text primary key,
    ref text,
    message text not null,
    reason text not null,
    buried_at text not null default current_timestamp
);
"""


@contextmanager
def transaction():
    conn = sqlite3.connect(PATH, timeout=30, isolation_level=None)
    conn.row_factory = sqlite3.Row
    try:
        conn.execute("begin immediate")
        yield conn
        conn.execute("commit")
    finally:
        conn.close()  # rolls back what was not committed


def demo(conn):
    conn.executemany(
        "insert or ignore into ads values (?, ?, ?, ?, ?, 'accepted')",
        [("KA-0001", "Anna Berger", "anna@example.org", "Klavier zu verkaufen", 2400),
         ("KA-0002", "Josef Huber", "josef@example.org", "Suche Garage", 1200),
         ("KA-0003", "Maria Koller", "maria@example.org", "Katze entlaufen", 900)],
    )


if __name__ == "__main__":
    script = sqlite3.connect(PATH)
    script.executescript(SCHEMA)
    script.close()
    if "--demo" in sys.argv:
        with transaction() as conn:
            demo(conn)
