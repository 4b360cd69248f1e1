import asyncio
import sys
from datetime import date, timedelta
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from .config import Config
from .models import Base, Subscription


@lru_cache
def engine():
    url = Config().database
    if url.startswith("sqlite"):
        return create_async_engine(url, connect_args={"timeout": 20}, poolclass=NullPool,
                                   hide_parameters=True)
    return create_async_engine(url, pool_pre_ping=True, hide_parameters=True)


def session() -> AsyncSession:
    return async_sessionmaker(engine(), expire_on_commit=False)()


async def create(demo: bool = False) -> None:
    async with engine().begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if demo:
        async with session() as s, s.begin():
            if await s.get(Subscription, 1) is None:
                today = date.today()
                s.add(Subscription(id=1, pay_account="acc-7001", title="Tagblatt", price_cents=3490,
                                   period_days=30, paid_until=today + timedelta(days=3)))
                s.add(Subscription(id=2, pay_account="acc-7002", title="Wochenpost", price_cents=1290,
                                   period_days=90, paid_until=today + timedelta(days=60)))
    await engine().dispose()


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv))
