"""SQLite, by hand. `python -m clinicsync.db [--demo]` lays it out."""
import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiosqlite

from clinicsync.config import settings

SCHEMA = """
CREATE TABLE IF NOT EXISTS patients (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS appointments (
    id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES patients(id),
    starts_at TEXT NOT NULL,                    -- local time of the clinic, 2031-03-03T09:30
    status TEXT NOT NULL DEFAULT 'booked'       -- booked, cancelled
);
CREATE TABLE IF NOT EXISTS reminders (
    appointment_id INTEGER NOT NULL REFERENCES appointments(id),
    day TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'planned',     -- planned, sending, sent, skipped, dead
    sms_id TEXT,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_at TEXT,
    first_sent_at TEXT,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (appointment_id, day)
);
CREATE TABLE IF NOT EXISTS dead_letters (
    job_id TEXT PRIMARY KEY, job TEXT NOT NULL, message TEXT NOT NULL,
    reason TEXT NOT NULL, attempts INTEGER NOT NULL, died_at TEXT NOT NULL
);
"""

DEMO = """
INSERT OR IGNORE INTO patients VALUES (1, 'A. Keller', '+41790000001'), (2, 'B. Rossi', '+41790000002');
INSERT OR IGNORE INTO appointments (id, patient_id, starts_at) VALUES
    (1, 1, '2031-03-03T09:30'), (2, 2, '2031-03-03T10:00'), (3, 1, '2031-03-04T15:45');
"""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@asynccontextmanager
async def transaction():
    """A connection inside BEGIN IMMEDIATE: writers come one after the other."""
    async with aiosqlite.connect(settings().db_path, timeout=10, isolation_level=None) as conn:
        conn.row_factory = aiosqlite.Row
        await conn.execute("BEGIN IMMEDIATE")
        try:
            yield conn
        except BaseException:
            await conn.rollback()
            raise
        await conn.commit()


async def one(conn, sql: str, *args):
    async with conn.execute(sql, args) as cursor:
        return await cursor.fetchone()


async def every(conn, sql: str, *args):
    async with conn.execute(sql, args) as cursor:
        return list(await cursor.fetchall())


async def create(demo: bool = False) -> None:
    async with aiosqlite.connect(settings().db_path) as conn:
        await conn.executescript(SCHEMA + (DEMO if demo else ""))
        await conn.commit()


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv))
