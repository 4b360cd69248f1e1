"""Creates the tables: `python -m shop.schema`. Running it again changes nothing."""

from shop import db

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    settled_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS receipts (
    order_id INTEGER NOT NULL,
    email TEXT NOT NULL,
    sent_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (order_id)
);
CREATE TABLE IF NOT EXISTS dead_jobs (
    job TEXT NOT NULL,
    order_id INTEGER,
    payload TEXT NOT NULL,
    reason TEXT NOT NULL,
    failed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (job, payload)
);
"""


def create() -> None:
    """Creates the tables that are missing."""
    with db.transaction() as connection:
        connection.executescript(TABLES)


if __name__ == "__main__":
    create()
