from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg

from statements.settings import settings


@asynccontextmanager
async def transaction() -> AsyncIterator[psycopg.AsyncConnection]:
    """Committed at the end of the block, rolled back on an error."""
    async with await psycopg.AsyncConnection.connect(settings.dsn, connect_timeout=10) as connection:
        yield connection


def now() -> datetime:
    return datetime.now(UTC)
