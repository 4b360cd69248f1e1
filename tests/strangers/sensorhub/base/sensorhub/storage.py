"""Repositories, and the unit of work that hands them out."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

import aiosqlite


@dataclass(frozen=True)
class Alarm:
    id: str
    sensor: str
    severity: str
    summary: str
    state: str

    @property
    def settled(self) -> bool:
        return self.state in ("delivered", "undelivered")


class Alarms:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def get(self, alarm_id: str) -> Alarm | None:
        cursor = await self._db.execute(
            "select id, sensor, severity, summary, state from alarms where id = ?", (alarm_id,)
        )
        row = await cursor.fetchone()
        return Alarm(*row) if row else None

    async def set_state(self, alarm_id: str, state: str) -> None:
        await self._db.execute("update alarms set state = ? where id = ?", (state, alarm_id))

    async def dispatched(self) -> list[str]:
        cursor = await self._db.execute("select id from alarms where state = 'dispatched' order by id")
        return [row[0] for row in await cursor.fetchall()]


class Receipts:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def keep(self, alarm_id: str, receipt: str) -> None:
        await self._db.execute("insert or ignore into receipts (alarm_id, receipt) values (?, ?)", (alarm_id, receipt))


class Attempts:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def count(self, alarm_id: str) -> int:
        cursor = await self._db.execute(
            "insert into push_attempts (alarm_id, count) values (?, 1)"
            " on conflict (alarm_id) do update set count = count + 1 returning count",
            (alarm_id,),
        )
        return (await cursor.fetchone())[0]


class Undelivered:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def note(self, job: str, ref: str, message: Any, reason: str) -> None:
        await self._db.execute(
            "insert or ignore into undelivered (job, ref, message, reason) values (?, ?, ?, ?)",
            (job, ref, json.dumps(message, default=repr), reason),
        )

    async def withdraw(self, job: str, ref: str) -> None:
        await self._db.execute("delete from undelivered where job = ? and ref = ?", (job, ref))


class UnitOfWork:
    """One write transaction. What is not committed is rolled back at the end of the block."""

    alarms: Alarms
    receipts: Receipts
    attempts: Attempts
    undelivered: Undelivered

    def __init__(self, path: str) -> None:
        self._path = path

    async def __aenter__(self) -> "UnitOfWork":
        self._db = await aiosqlite.connect(self._path, timeout=20, isolation_level=None)
        try:
            await self._db.execute("begin immediate")
        except sqlite3.Error:
            await self._db.close()
            raise
        self.alarms = Alarms(self._db)
        self.receipts = Receipts(self._db)
        self.attempts = Attempts(self._db)
        self.undelivered = Undelivered(self._db)
        return self

    async def commit(self) -> None:
        await self._db.execute("commit")

    async def __aexit__(self, *exc_info) -> None:
        try:
            if self._db.in_transaction:
                await self._db.execute("rollback")
        finally:
            await self._db.close()
