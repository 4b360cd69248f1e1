import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiosqlite

from hooks.settings import settings

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    event_id: str
    state: str
    attempt: int
    created_at: float
    url: str
    secret: str
    body: str


class Store:
    """The events table and the dead letters. Every method is one transaction."""

    def __init__(self, path: str) -> None:
        self.path = path

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        async with aiosqlite.connect(self.path, timeout=30, isolation_level=None) as db:
            await db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                await db.rollback()
                raise
            await db.commit()

    async def add(self, event_id: str, customer_id: str, type_: str, data: dict[str, Any]) -> None:
        now = time.time()
        body = json.dumps({"id": event_id, "type": type_, "data": data}, sort_keys=True, separators=(",", ":"))
        async with self.transaction() as db:
            await db.execute(
                "INSERT INTO events (id, customer_id, body, created_at, due_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (event_id, customer_id, body, now, now),
            )

    async def begin(self, event_id: str) -> Delivery | None:
        """The event, with this attempt counted if it is still pending."""
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET attempts = attempts + 1, due_at = ? WHERE id = ? AND state = ?",
                (time.time(), event_id, PENDING),
            )
            cursor = await db.execute(
                "SELECT e.id, e.state, e.attempts, e.created_at, c.url, c.secret, e.body"
                " FROM events e JOIN customers c ON c.id = e.customer_id WHERE e.id = ?",
                (event_id,),
            )
            row = await cursor.fetchone()
        return Delivery(*row) if row else None

    async def failed(self, event_id: str, reason: str, retry_in_s: float) -> None:
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET last_error = ?, due_at = ? WHERE id = ? AND state = ?",
                (reason, time.time() + retry_in_s, event_id, PENDING),
            )

    async def delivered(self, event_id: str) -> None:
        """Even where a rival had given it up meanwhile: the customer has it."""
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET state = ?, delivered_at = ?, last_error = NULL WHERE id = ? AND state != ?",
                (DELIVERED, time.time(), event_id, DELIVERED),
            )
            await db.execute("DELETE FROM dead_deliveries WHERE key = ?", (event_id,))

    async def bury(self, key: str, message: dict[str, Any], reason: str) -> bool:
        """Gives up what is pending, or was never an event. False: it had come to its end before."""
        async with self.transaction() as db:
            cursor = await db.execute("SELECT state, attempts FROM events WHERE id = ?", (key,))
            event = await cursor.fetchone()
            if event and event[0] != PENDING:
                return False
            await db.execute("UPDATE events SET state = ?, last_error = ? WHERE id = ?", (DEAD, reason, key))
            await db.execute(
                "INSERT INTO dead_deliveries (key, message, attempts, reason, died_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (key) DO NOTHING",
                (key, json.dumps(message, sort_keys=True, default=str), event[1] if event else 0, reason, time.time()),
            )
        return True

    async def revive(self, event_id: str) -> None:
        now = time.time()
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET state = ?, attempts = 0, created_at = ?, due_at = ? WHERE id = ? AND state = ?",
                (PENDING, now, now, event_id, DEAD),
            )
            await db.execute("DELETE FROM dead_deliveries WHERE key = ?", (event_id,))

    async def overdue(self, by_s: float) -> list[tuple[str, int, float]]:
        async with self.transaction() as db:
            cursor = await db.execute(
                "SELECT id, attempts, created_at FROM events WHERE state = ? AND due_at < ? ORDER BY due_at LIMIT 200",
                (PENDING, time.time() - by_s),
            )
            return [tuple(row) for row in await cursor.fetchall()]

    async def touch(self, event_id: str) -> None:
        async with self.transaction() as db:
            await db.execute("UPDATE events SET due_at = ? WHERE id = ? AND state = ?", (time.time(), event_id, PENDING))


def get_store() -> Store:
    return Store(settings.db_path)
