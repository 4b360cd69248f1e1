from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

APPROVED, SENDING, PAID, REFUSED, PARKED = "approved", "sending", "paid", "refused", "parked"

MAX_DELIVERIES = 10
# The bank forgets an Idempotency-Key after 24 hours.
RESEND_FOR = timedelta(hours=23)


def utcnow() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class UnknownPayout(Exception):
    """No such payout."""


class TooManyDeliveries(Exception):
    """Every try so far ended without an answer, most likely with the worker."""


class KeyExpired(Exception):
    """The bank may have forgotten our first order: a repetition could pay twice."""


class Base(DeclarativeBase):
    pass


class Payout(Base):
    __tablename__ = "payouts"

    ref: Mapped[str] = mapped_column(String(20), primary_key=True)
    iban: Mapped[str] = mapped_column(String(34))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="CHF")
    status: Mapped[str] = mapped_column(String(10), default=APPROVED)
    bank_ref: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(500))
    released_at: Mapped[datetime | None]
    first_sent_at: Mapped[datetime | None]
    touched_at: Mapped[datetime] = mapped_column(default=utcnow)
    deliveries: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_final(self) -> bool:
        return self.status in (PAID, REFUSED, PARKED)

    @property
    def idempotency_key(self) -> str:
        return f"parcelbank-{self.ref}"

    def begin_attempt(self) -> None:
        now = utcnow()
        if self.deliveries >= MAX_DELIVERIES:
            raise TooManyDeliveries(f"{self.ref} was tried {self.deliveries} times")
        if self.first_sent_at is not None and now - self.first_sent_at > RESEND_FOR:
            raise KeyExpired(f"{self.ref} was first sent at {self.first_sent_at:%Y-%m-%d %H:%M} UTC")
        self.deliveries += 1
        self.first_sent_at = self.first_sent_at or now
        self.touched_at = now
        self.status = SENDING

    def mark_paid(self, bank_ref: str) -> None:
        """Also from parked or refused: the money is on its way, whatever we had thought."""
        self.status, self.bank_ref, self.reason, self.touched_at = PAID, bank_ref, None, utcnow()

    def give_up(self, status: str, reason: str) -> None:
        self.status, self.reason, self.touched_at = status, reason[:500], utcnow()


class OutboxMessage(Base):
    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("task", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    key: Mapped[str] = mapped_column(String(100))
    kwargs: Mapped[dict] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    published_at: Mapped[datetime | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    message_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(500))
    attempts: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
