"""The SQLite database; `python -m billing.db` creates its tables."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

TABLES = """
CREATE TABLE IF NOT EXISTS invoices (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bookings (invoice_id INTEGER NOT NULL UNIQUE, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dead_jobs (payload TEXT NOT NULL UNIQUE, reason TEXT NOT NULL);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end of the block, rolled back on an exception."""
    connection = sqlite3.connect(os.environ.get("BILLING_DB", "billing.db"), timeout=30)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


if __name__ == "__main__":
    with transaction() as connection:
        connection.executescript(TABLES)
