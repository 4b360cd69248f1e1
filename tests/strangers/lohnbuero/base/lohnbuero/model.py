from datetime import datetime, timezone
from enum import StrEnum

from sqlalchemy import JSON, DateTime, ForeignKey, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> datetime:
    return datetime.now(timezone.utc)


class Moment(TypeDecorator):
    """UTC in, UTC out; SQLite keeps no zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value and value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value, dialect):
        return value and value.replace(tzinfo=timezone.utc)


class Base(DeclarativeBase):
    pass


class Status(StrEnum):
    DRAFT = "draft"
    RELEASED = "released"
    TRANSMITTED = "transmitted"
    DONE = "done"
    FAILED = "failed"  # the authority does not have it, as far as we know
    UNRECEIPTED = "unreceipted"  # the authority has it, the clerk has no receipt


OPEN = (Status.RELEASED, Status.TRANSMITTED)
ENDS_AS = {Status.RELEASED: Status.FAILED, Status.TRANSMITTED: Status.UNRECEIPTED}


class Employer(Base):
    __tablename__ = "employers"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(12), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    clerk_email: Mapped[str] = mapped_column(String(200))


class Declaration(Base):
    __tablename__ = "declarations"

    id: Mapped[int] = mapped_column(primary_key=True)
    employer_id: Mapped[int] = mapped_column(ForeignKey("employers.id"))
    period: Mapped[str] = mapped_column(String(7))
    gross_cents: Mapped[int]
    status: Mapped[str] = mapped_column(String(12), default=Status.DRAFT)
    transmission_no: Mapped[str | None] = mapped_column(String(40), unique=True)
    ticket: Mapped[str | None] = mapped_column(String(60))
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)

    employer: Mapped[Employer] = relationship(lazy="joined")


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(200))
    job_id: Mapped[str] = mapped_column(String(64))
    died_at: Mapped[datetime] = mapped_column(Moment, default=now)
