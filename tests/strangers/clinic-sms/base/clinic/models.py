from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Status(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    CANCELLED = "cancelled"
    DEAD = "dead"


class Base(DeclarativeBase):
    pass


class Appointment(Base):
    __tablename__ = "appointments"

    id: Mapped[int] = mapped_column(primary_key=True)
    phone: Mapped[str]
    starts_at: Mapped[str]


class Confirmation(Base):
    """One SMS that has to go out. Times are seconds since the epoch."""

    __tablename__ = "confirmations"

    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointments.id"), primary_key=True)
    phone: Mapped[str]
    text: Mapped[str]
    status: Mapped[str] = mapped_column(default=Status.PENDING.value)
    requested_at: Mapped[int]
    due_at: Mapped[int]  # when somebody should next touch it; the sweep goes by this
    attempts: Mapped[int] = mapped_column(default=0)
    requeues: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    provider_id: Mapped[str | None]
    sent_at: Mapped[int | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    key: Mapped[str]
    payload: Mapped[str]
    attempts: Mapped[int]
    reason: Mapped[str]
    created_at: Mapped[int]
