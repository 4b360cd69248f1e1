import psycopg

from statements import db
from statements.model import StatementRequest
from statements.settings import settings


async def book_fee(connection: psycopg.AsyncConnection, request: StatementRequest) -> None:
    """Books the fee within the caller's transaction. The ledger only grows: what is booked stays."""
    await connection.execute(
        "INSERT INTO ledger (account_id, booked_at, kind, reference, amount) VALUES (%s, %s, 'statement-fee', %s, %s)",
        (request.account_id, db.now(), request.key, -settings.fee),
    )
