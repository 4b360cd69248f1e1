"""The requests, and what became of them."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from statements import db, ledger
from statements.model import Entry, StatementRequest

JOB = "produce-statement"
ROW = "account_id = %(account_id)s AND period = %(period)s"


@dataclass(frozen=True, slots=True)
class Attempt:
    status: str
    number: int


async def begin(request: StatementRequest) -> Attempt | None:
    """Counts an attempt if there is something left to do. None: nobody asked for this statement."""
    values = {**request.model_dump(), "now": db.now()}
    async with db.transaction() as connection:
        counted = await connection.execute(
            "UPDATE statements SET attempts = attempts + 1, touched_at = %(now)s"
            f" WHERE {ROW} AND status = 'pending' RETURNING status, attempts",
            values,
        )
        row = await counted.fetchone()
        if row is None:
            found = await connection.execute(f"SELECT status, attempts FROM statements WHERE {ROW}", values)
            row = await found.fetchone()
    return Attempt(*row) if row else None


async def entries(request: StatementRequest) -> list[Entry]:
    async with db.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT id, booked_on::text, text, amount FROM entries WHERE {ROW} ORDER BY booked_on, id",
            request.model_dump(),
        )
        return [Entry(*row) for row in await cursor.fetchall()]


async def finish(request: StatementRequest, sha256: str) -> bool:
    """Done, and the fee booked, in one commit. False: somebody else had finished it."""
    values = {**request.model_dump(), "object_key": request.object_key, "sha256": sha256, "now": db.now()}
    async with db.transaction() as connection:
        ours = await connection.execute(
            "UPDATE statements SET status = 'done', object_key = %(object_key)s, sha256 = %(sha256)s,"
            f" touched_at = %(now)s, last_error = NULL WHERE {ROW} AND status <> 'done'",
            values,
        )
        if not ours.rowcount:
            return False
        await ledger.book_fee(connection, request)
        await connection.execute("DELETE FROM dead_letters WHERE job = %s AND key = %s", (JOB, request.key))
    return True


async def failed(request: StatementRequest, reason: str, wait_s: int) -> None:
    async with db.transaction() as connection:
        await connection.execute(
            f"UPDATE statements SET last_error = %(reason)s, touched_at = %(due)s WHERE {ROW} AND status = 'pending'",
            {**request.model_dump(), "reason": reason, "due": db.now() + timedelta(seconds=wait_s)},
        )


async def give_up(request: StatementRequest, attempts: int, reason: str) -> bool:
    """Dead, with its dead letter, in one commit. False: it had come to another end."""
    async with db.transaction() as connection:
        ended = await connection.execute(
            f"UPDATE statements SET status = 'dead', last_error = %(reason)s WHERE {ROW} AND status = 'pending'",
            {**request.model_dump(), "reason": reason},
        )
        if not ended.rowcount:
            return False
        await _dead_letter(connection, request.key, request.model_dump(), attempts, reason)
    return True


async def reject(message: dict[str, Any], key: str, reason: str) -> None:
    """A dead letter for a message without a request."""
    async with db.transaction() as connection:
        await _dead_letter(connection, key, message, 1, reason)


async def _dead_letter(
    connection: psycopg.AsyncConnection, key: str, message: dict[str, Any], attempts: int, reason: str
) -> None:
    await connection.execute(
        "INSERT INTO dead_letters (job, key, message, attempts, reason, died_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (job, key) DO NOTHING",
        (JOB, key, json.dumps(message, sort_keys=True, default=str), attempts, reason, db.now()),
    )


async def stalled(older_than_s: int) -> list[tuple[StatementRequest, int, int]]:
    """(request, attempts, requeues) of what is pending and has not been touched for so long."""
    async with db.transaction() as connection:
        cursor = await connection.execute(
            "SELECT account_id, period, attempts, requeues FROM statements"
            " WHERE status = 'pending' AND touched_at < %s ORDER BY touched_at LIMIT 200",
            (db.now() - timedelta(seconds=older_than_s),),
        )
        rows = await cursor.fetchall()
    return [(StatementRequest(account_id=a, period=p), attempts, requeues) for a, p, attempts, requeues in rows]
