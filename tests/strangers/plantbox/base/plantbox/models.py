"""python -m plantbox.models [demo]"""

import asyncio
import sys
from functools import cache

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from plantbox.config import config


class Base(DeclarativeBase):
    pass


class Subscriber(Base):
    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    street: Mapped[str]
    town: Mapped[str]


class Sort(Base):
    """What a box is filled with."""

    __tablename__ = "sorts"

    sku: Mapped[str] = mapped_column(String(20), primary_key=True)
    stock: Mapped[int]


class Box(Base):
    __tablename__ = "boxes"
    __table_args__ = (Index("boxes_by_status", "status", "seen_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    sku: Mapped[str] = mapped_column(ForeignKey("sorts.sku"))
    status: Mapped[str] = mapped_column(String(10), default="planned")  # planned, released, ordered, failed
    ship_to: Mapped[dict | None] = mapped_column(JSON)
    parcel_ref: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    published_at: Mapped[float | None]
    seen_at: Mapped[float | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    ref: Mapped[str] = mapped_column(String(80), primary_key=True)
    job: Mapped[str]
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str]
    died_at: Mapped[float]


@cache
def engine():
    # hide_parameters: what a failed statement was given must not end in a log
    return create_async_engine(
        config.database_url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 15}
    )


def transaction():
    """async with transaction() as session: committed at the end, or not at all."""
    return async_sessionmaker(engine(), class_=AsyncSession, expire_on_commit=False).begin()


async def create(demo: bool = False) -> None:
    async with engine().begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if demo:
        async with transaction() as session:
            session.add(Subscriber(id=1, name="Ada Fern", street="Mossweg 4", town="4051 Basel"))
            session.add(Sort(sku="FERN-S", stock=40))
            await session.flush()
            for n in (1, 2, 3):
                session.add(Box(id=n, number=f"PB-2026-{n:04}", subscriber_id=1, sku="FERN-S"))


if __name__ == "__main__":
    asyncio.run(create(demo="demo" in sys.argv[1:]))
