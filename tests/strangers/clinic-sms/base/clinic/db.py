from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from clinic.settings import get_settings


@lru_cache
def engine() -> AsyncEngine:
    # A connection to a file is cheap, and one that nobody keeps cannot belong to a loop that is gone.
    return create_async_engine(get_settings().database_url, poolclass=NullPool, connect_args={"timeout": 30})


@asynccontextmanager
async def transaction() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine(), expire_on_commit=False) as session, session.begin():
        yield session
