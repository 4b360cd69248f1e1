from datetime import datetime, timezone

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REQUESTED, SENDING, SENT, REJECTED, FAILED = "requested", "sending", "sent", "rejected", "failed"


def now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    balance_cents: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Payout(Base):
    __tablename__ = "payouts"
    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    amount_cents: Mapped[int]
    iban: Mapped[str] = mapped_column(String(34))
    status: Mapped[str] = mapped_column(String(12), default=REQUESTED)
    rail_reference: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Entry(Base):
    """A booked debit; one per payout."""
    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("payout_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    payout_id: Mapped[str] = mapped_column(ForeignKey("payouts.id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    amount_cents: Mapped[int]


class OutboxMessage(Base):
    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[dict] = mapped_column(JSON)
    published_at: Mapped[datetime | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "message_key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(40))
    message_key: Mapped[str] = mapped_column(String(64))
    body: Mapped[str]
    error: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
