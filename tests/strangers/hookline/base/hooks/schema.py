"""`python -m hooks.schema`"""

import asyncio

import aiosqlite

from hooks.settings import settings
from hooks.store import get_store

TABLES = """
CREATE TABLE IF NOT EXISTS customers (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    due_at REAL NOT NULL,
    last_error TEXT,
    delivered_at REAL
);
CREATE INDEX IF NOT EXISTS events_due ON events (state, due_at);
CREATE TABLE IF NOT EXISTS dead_deliveries (
    key TEXT PRIMARY KEY,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL
);
"""


async def main() -> None:
    async with aiosqlite.connect(settings.db_path) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.executescript(TABLES)
        await db.execute(
            "INSERT OR IGNORE INTO customers VALUES ('acme', 'https://acme.example/hooks', 'whsec_demo')",
        )
        await db.commit()
    for number in (1001, 1002, 1003):
        await get_store().add(f"evt_{number}", "acme", "invoice.paid", {"invoice": number, "amount": "120.00"})


if __name__ == "__main__":
    asyncio.run(main())
