from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class TimeSlot(Base):
    __tablename__ = "time_slots"

    id: Mapped[int] = mapped_column(primary_key=True)
    starts_at: Mapped[str]
    capacity: Mapped[int]
    sold: Mapped[int] = mapped_column(default=0)


class Ticket(Base):
    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    slot_id: Mapped[int] = mapped_column(ForeignKey("time_slots.id"))
    visitor_email: Mapped[str]
    price_cents: Mapped[int]
    payment_id: Mapped[str]
    status: Mapped[str] = mapped_column(default="sold")  # sold, used, returning, returned


class Refund(Base):
    __tablename__ = "refunds"

    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    payment_id: Mapped[str]
    amount_cents: Mapped[int]
    state: Mapped[str] = mapped_column(default="pending")  # pending, refunded, failed
    paydesk_id: Mapped[str | None]
    first_try_at: Mapped[float | None]
    touched_at: Mapped[float | None]


class DeadJob(Base):
    __tablename__ = "dead_jobs"

    key: Mapped[str] = mapped_column(primary_key=True)
    function: Mapped[str]
    job_id: Mapped[str]
    message: Mapped[dict] = mapped_column(JSON)
    error: Mapped[str]
    attempt: Mapped[int]
    died_at: Mapped[float]
