"""The tables."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def utcnow() -> datetime:
    """SQLite keeps no time zones: all times in the tables are UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Return(Base):
    """One approved return of a customer."""

    __tablename__ = "returns"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_no: Mapped[str]
    customer_name: Mapped[str]
    customer_email: Mapped[str]
    weight_grams: Mapped[int]
    status: Mapped[str] = mapped_column(default="open")  # open, done, failed

    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    claim_token: Mapped[str | None]
    claimed_until: Mapped[datetime | None]

    tracking_no: Mapped[str | None]
    label_url: Mapped[str | None]
    mail_started_at: Mapped[datetime | None]
    mail_result: Mapped[str | None]  # sent, uncertain

    @property
    def reference(self) -> str:
        """The name of this return at the carrier's."""
        return f"RET-{self.id}"


class OutboxEntry(Base):
    """A message that is still to be handed to the broker."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    return_id: Mapped[int] = mapped_column(ForeignKey("returns.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class DeadLetter(Base):
    """A job that was given up, for the service desk."""

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "payload"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    payload: Mapped[str]
    attempt: Mapped[int]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
