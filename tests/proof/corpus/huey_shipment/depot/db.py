"""The application's database."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, address TEXT NOT NULL);
CREATE TABLE shipments (order_id INTEGER NOT NULL UNIQUE, address TEXT NOT NULL);
CREATE TABLE dead_letters (payload TEXT NOT NULL UNIQUE, reason TEXT NOT NULL);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection whose work is committed together."""
    connection = sqlite3.connect(os.environ["DEPOT_DB"], timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


if __name__ == "__main__":
    with transaction() as setup:
        setup.executescript(SCHEMA)
