from datetime import datetime, timezone

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def utcnow() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Patient(Base):
    __tablename__ = "patients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born: Mapped[str]


class Consent(Base):
    """Of a patient to results being sent to the general practitioner."""

    __tablename__ = "consents"

    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"), primary_key=True)
    state: Mapped[str]


class Result(Base):
    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"))
    practice: Mapped[str]
    code: Mapped[str]
    value: Mapped[str]


class Transmission(Base):
    __tablename__ = "transmissions"
    __table_args__ = (CheckConstraint("status in ('queued', 'sent', 'withheld', 'dead')"),)

    result_id: Mapped[int] = mapped_column(ForeignKey("results.id"), primary_key=True)
    control_id: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="queued")
    starts: Mapped[int] = mapped_column(default=0)
    posted: Mapped[bool] = mapped_column(default=False)
    acknowledgement: Mapped[str | None]
    touched_at: Mapped[datetime] = mapped_column(default=utcnow)


class AuditEntry(Base):
    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("result_id", "event"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("results.id"))
    control_id: Mapped[str]
    event: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=utcnow)


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    key: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str | None]
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=utcnow)
