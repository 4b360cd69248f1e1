"""Persistent entities (SQLAlchemy 2 declarative)."""

import enum
from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Integer, String, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """timestamptz that is aware on every backend."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value, dialect):
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime}


class TransferStatus(enum.StrEnum):
    APPROVED = "APPROVED"
    SUBMITTED = "SUBMITTED"
    FAILED = "FAILED"


class Account(Base):
    __tablename__ = "accounts"

    iban: Mapped[str] = mapped_column(String(34), primary_key=True)
    booked_cents: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)

    __mapper_args__ = {"version_id_col": version}

    def debit(self, amount_cents: int) -> None:
        self.booked_cents -= amount_cents


class Transfer(Base):
    __tablename__ = "transfers"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    end_to_end_id: Mapped[str] = mapped_column(String(35), unique=True)
    debtor_iban: Mapped[str] = mapped_column(ForeignKey("accounts.iban"))
    creditor_iban: Mapped[str] = mapped_column(String(34))
    amount_cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3), default="EUR")
    status: Mapped[str] = mapped_column(String(10), default=TransferStatus.APPROVED)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_attempt_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    claimed_until: Mapped[datetime | None]
    reference: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)

    __mapper_args__ = {"version_id_col": version}

    def held_by_other(self, holder: str, now: datetime) -> bool:
        return self.claimed_by not in (None, holder) and self.claimed_until is not None and self.claimed_until > now


class OutboxMessage(Base):
    """One per transfer. published_at is NULL while the message is to be published (again)."""

    __tablename__ = "outbox_messages"

    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"), primary_key=True, autoincrement=False)
    payload: Mapped[dict] = mapped_column(JSON)
    published_at: Mapped[datetime | None]


class Posting(Base):
    """The general ledger's side of an executed transfer."""

    __tablename__ = "postings"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    iban: Mapped[str] = mapped_column(String(34))
    amount_cents: Mapped[int] = mapped_column(BigInteger)
    booked_at: Mapped[datetime]


class AuditEntry(Base):
    """Append-only; every attempt leaves a line."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    transfer_id: Mapped[int]
    attempt: Mapped[int]
    action: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "fingerprint"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job: Mapped[str] = mapped_column(String(50))
    fingerprint: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(500))
    recorded_at: Mapped[datetime]
