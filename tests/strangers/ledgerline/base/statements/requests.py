"""What the customer's click does."""

import psycopg
from procrastinate.exceptions import AlreadyEnqueued

from statements import db
from statements.model import StatementRequest
from statements.tasks import produce_statement


async def request_statement(account_id: int, period: str) -> None:
    """May be called again: there is one statement, and one fee, for a month of an account."""
    request = StatementRequest(account_id=account_id, period=period)
    async with db.transaction() as connection:
        await connection.execute(
            "INSERT INTO statements (account_id, period, touched_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (account_id, period, db.now()),
        )
        await defer(connection, request)


async def defer(connection: psycopg.AsyncConnection, request: StatementRequest) -> bool:
    """Puts the job into the queue, in the caller's transaction. False: it waits there already."""
    try:
        async with connection.transaction():
            await produce_statement.configure(
                queueing_lock=f"statement:{request.key}", connection=connection
            ).defer_async(**request.model_dump())
    except AlreadyEnqueued:
        return False
    return True
