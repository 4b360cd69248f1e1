"""The shop's SQLite database; `python -m shop.db` creates its tables."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (order_id INTEGER NOT NULL UNIQUE, email TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dead_jobs (payload TEXT NOT NULL UNIQUE, reason TEXT NOT NULL);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end of the block, rolled back on an exception."""
    connection = sqlite3.connect(os.environ.get("SHOP_DB", "shop.db"), timeout=30)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


if __name__ == "__main__":
    with transaction() as connection:
        connection.executescript(TABLES)
