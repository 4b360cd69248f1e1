import asyncio
import sys
from datetime import UTC, datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from radiosender import settings

engine = create_async_engine(settings.DATABASE_URL, poolclass=NullPool)
Session = async_sessionmaker(engine, expire_on_commit=False)


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Booking(Base):
    __tablename__ = "bookings"
    __table_args__ = (CheckConstraint("state in ('requested', 'booked', 'failed')"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    wanted_at: Mapped[str]
    seconds: Mapped[int]
    note: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="requested")
    slot: Mapped[str | None]
    starts: Mapped[int] = mapped_column(default=0)
    queued_at: Mapped[datetime | None]
    touched_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(nullable=False)

    __mapper_args__ = {"version_id_col": version}


class AuditLine(Base):
    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("booking_id", "event"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"))
    event: Mapped[str]
    detail: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    subject: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


async def create(demo: bool = False) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if demo:
        async with Session.begin() as session:
            session.add_all([
                Booking(id=1, customer="Möbel Kraft", wanted_at="2026-12-14T07:28", seconds=20),
                Booking(id=2, customer="Stadtwerke", wanted_at="2026-12-14T07:58", seconds=30),
                Booking(id=3, customer="Möbel Kraft", wanted_at="2026-12-15T17:28", seconds=20),
            ])
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create("--demo" in sys.argv))
