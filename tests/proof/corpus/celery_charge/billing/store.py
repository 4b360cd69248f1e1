"""Invoices and their states: open, charged, booked. `python -m billing.store` creates the tables."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

TABLES = """
CREATE TABLE invoices (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'open',
    payment TEXT
);
CREATE TABLE given_up (invoice TEXT PRIMARY KEY, reason TEXT NOT NULL);
INSERT INTO invoices (id, customer, cents) VALUES ('INV-1', 'anna', 1200), ('INV-2', 'anna', 1200);
"""


@contextmanager
def connect() -> Iterator[sqlite3.Connection]:
    """Each statement is a transaction."""
    connection = sqlite3.connect(os.environ["BILLING_DB"], timeout=20, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def load(invoice: str) -> tuple[str, int, str, str] | None:
    """(customer, cents, status, payment)."""
    with connect() as connection:
        query = "SELECT customer, cents, status, payment FROM invoices WHERE id = ?"
        row: tuple[str, int, str, str] | None = connection.execute(query, (invoice,)).fetchone()
        return row


def move(invoice: str, old: str, new: str, *, payment: str | None = None) -> bool:
    """From one state to the next; False where it was not in `old`."""
    with connect() as connection:
        query = "UPDATE invoices SET status = ?, payment = coalesce(?, payment) WHERE id = ? AND status = ?"
        return connection.execute(query, (new, payment, invoice, old)).rowcount == 1


def give_up(invoice: str | None, reason: str) -> None:
    """For a person: whatever the state, and also where there is no such invoice."""
    with connect() as connection:
        connection.execute("INSERT INTO given_up VALUES (?, ?) ON CONFLICT DO NOTHING", (invoice or "?", reason))


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
