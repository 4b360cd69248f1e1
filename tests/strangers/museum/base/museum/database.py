"""python -m museum.database [--demo] makes the tables."""
import asyncio
import sys
import time
from functools import lru_cache

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from museum.models import Base, Ticket, TimeSlot
from museum.settings import settings


@lru_cache
def engine_for(path: str) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 15}, hide_parameters=True
    )

    @event.listens_for(engine.sync_engine, "connect")
    def no_implicit_begin(connection, record):
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def transaction():
    """async with transaction() as session: all of it, or nothing."""
    return async_sessionmaker(engine_for(settings.database), expire_on_commit=False).begin()


def now() -> float:
    return time.time()


async def create(demo: bool = False) -> None:
    engine = engine_for(settings.database)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if demo:
        async with transaction() as session:
            session.add(TimeSlot(id=1, starts_at="2031-06-01T10:00", capacity=40, sold=12))
            session.add(TimeSlot(id=2, starts_at="2031-06-01T11:00", capacity=40, sold=40))
            await session.flush()
            for n, slot in ((1, 1), (2, 1), (3, 2)):
                session.add(
                    Ticket(id=n, slot_id=slot, visitor_email=f"visitor{n}@example.com", price_cents=1800, payment_id=f"pay-{n}")
                )
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv))
