from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, Text, create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from .settings import settings

engine = create_engine(settings.database_url, pool_pre_ping=True)
Session = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Player(Base):
    __tablename__ = "players"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(String(40))
    gems: Mapped[int] = mapped_column(default=0)


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    player_id: Mapped[int] = mapped_column(ForeignKey("players.id"))
    sku: Mapped[str] = mapped_column(String(24))
    gems: Mapped[int]
    cents: Mapped[int]
    status: Mapped[str] = mapped_column(String(12), default="confirmed")
    capture_id: Mapped[str | None] = mapped_column(String(40))


class ChargeAttempt(Base):
    """One try at an order; outcome stays null where the worker died over it."""

    __tablename__ = "charge_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    outcome: Mapped[str | None] = mapped_column(Text)


class FailedJob(Base):
    __tablename__ = "failed_jobs"

    message_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    actor: Mapped[str] = mapped_column(String(60))
    order_id: Mapped[str | None] = mapped_column(String(24))
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    failed_at: Mapped[datetime] = mapped_column(server_default=func.now())
