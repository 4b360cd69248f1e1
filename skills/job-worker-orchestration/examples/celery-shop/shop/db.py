"""The shop's SQLite database."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end of the block, rolled back on an exception."""
    connection = sqlite3.connect(os.environ.get("SHOP_DB", "shop.db"), timeout=30)
    try:
        with connection:
            yield connection
    finally:
        connection.close()
