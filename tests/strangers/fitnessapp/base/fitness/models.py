"""python -m fitness.models [--demo]"""
import sys
import time

from sqlalchemy import ForeignKey, String, Text, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import NullPool

from .settings import settings

# NullPool: prefork workers + pooled connections = pain
engine = create_engine(
    settings.database_url,
    poolclass=NullPool,
    connect_args={"timeout": 15} if settings.database_url.startswith("sqlite") else {},
)
Session = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    device_token: Mapped[str | None] = mapped_column(String(200))
    points: Mapped[int] = mapped_column(default=0)


class Workout(Base):
    """synced (from the watch) > submitted > credited > announced, or failed"""

    __tablename__ = "workouts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(20))
    minutes: Mapped[int]
    status: Mapped[str] = mapped_column(String(12), default="synced")
    push: Mapped[str | None] = mapped_column(String(8))  # sent, gone, none
    touched_at: Mapped[float] = mapped_column(default=0)


class Entry(Base):
    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(primary_key=True)
    workout_id: Mapped[int] = mapped_column(ForeignKey("workouts.id"), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    points: Mapped[int]


class Claim(Base):
    """free, held, done or dead"""

    __tablename__ = "claims"
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    state: Mapped[str] = mapped_column(String(8), default="free")
    owner: Mapped[str] = mapped_column(String(32), default="")
    lease_until: Mapped[float] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    message: Mapped[str] = mapped_column(Text)
    error: Mapped[str] = mapped_column(String(80))
    at: Mapped[float] = mapped_column(default=time.time)


def insert_ignore(model):
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(model).on_conflict_do_nothing()


def create(demo=False):
    Base.metadata.create_all(engine)
    if demo:
        with Session.begin() as s:
            s.execute(insert_ignore(User).values([
                {"id": 1, "device_token": "dev-aaaa", "points": 0},
                {"id": 2, "device_token": "dev-bbbb", "points": 40},
            ]))
            s.execute(insert_ignore(Workout).values([
                {"id": 11, "user_id": 1, "kind": "run", "minutes": 30, "status": "synced", "touched_at": 0},
                {"id": 12, "user_id": 1, "kind": "yoga", "minutes": 45, "status": "synced", "touched_at": 0},
                {"id": 13, "user_id": 2, "kind": "swim", "minutes": 20, "status": "synced", "touched_at": 0},
            ]))


if __name__ == "__main__":
    create(demo="--demo" in sys.argv)
