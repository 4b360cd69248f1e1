"""Tables, and the session factory that the worker and the portal share."""

import argparse
import asyncio
from datetime import datetime, timezone

from sqlalchemy import DateTime, String, Text, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cloudkeys.settings import get_settings

NEW, QUEUED, ACTIVE, FAILED = "new", "queued", "active", "failed"


def utcnow() -> datetime:
    return datetime.now(timezone.utc)


class Base(DeclarativeBase):
    pass


class KeyRequest(Base):
    __tablename__ = "key_requests"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(80))
    scope: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(10), default=NEW, index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    key_id: Mapped[str | None] = mapped_column(String(80))
    fingerprint: Mapped[str | None] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utcnow)


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "ref"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(40))
    ref: Mapped[str] = mapped_column(String(80))
    message: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utcnow)


Sessions = async_sessionmaker[AsyncSession]


def make_engine(url: str | None = None) -> AsyncEngine:
    return create_async_engine(url or get_settings().database_url, connect_args={"timeout": 30})


def make_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


DEMO = [
    # one that the approver has submitted, two that only lie there
    dict(id="kr_a1f09c", tenant="acme", scope="storage.read", status=QUEUED),
    dict(id="kr_b2770e", tenant="globex", scope="storage.write", status=NEW),
    dict(id="kr_c35d41", tenant="acme", scope="billing.read", status=NEW),
]


async def create_tables(demo: bool = False) -> None:
    engine = make_engine()
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    if demo:
        async with make_sessions(engine)() as session:
            for row in DEMO:
                await session.merge(KeyRequest(**row))
            await session.commit()
    await engine.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--demo", action="store_true")
    asyncio.run(create_tables(parser.parse_args().demo))
