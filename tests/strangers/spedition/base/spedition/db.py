from contextlib import contextmanager
from functools import lru_cache
from typing import Iterator, Optional

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from spedition import config


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(40), unique=True)
    consignee: Mapped[str] = mapped_column(String(200))
    country: Mapped[str] = mapped_column(String(2))
    mrn: Mapped[Optional[str]] = mapped_column(String(18))


class OutboxRow(Base):
    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "status", "next_attempt_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    declaration_id: Mapped[str] = mapped_column(String(60), unique=True)
    document: Mapped[dict] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, declared, dead
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[int] = mapped_column(BigInteger, default=0)
    claimed_by: Mapped[Optional[str]] = mapped_column(String(32))
    last_error: Mapped[Optional[str]] = mapped_column(String(200))


@lru_cache(maxsize=None)
def _engine(url: str):
    options = {"connect_args": {"timeout": 20}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return create_engine(url, hide_parameters=True, **options)


def engine():
    return _engine(config.database_url())


@contextmanager
def transaction() -> Iterator[Session]:
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session
