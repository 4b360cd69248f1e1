from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

INSPECTED = "inspected"  # the parcel is here, its content is as it should be
REFUNDED = "refunded"
REFUND_FAILED = "refund_failed"


class Base(DeclarativeBase):
    pass


class Return(Base):
    __tablename__ = "returns"

    number: Mapped[str] = mapped_column(String(12), primary_key=True)
    order_number: Mapped[str] = mapped_column(String(12))
    payment_id: Mapped[str] = mapped_column(String(40))
    amount_cents: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default=INSPECTED)
    refund_id: Mapped[str | None] = mapped_column(String(40))
    starts: Mapped[int] = mapped_column(default=0)
    requested_at: Mapped[float | None]
    first_try_at: Mapped[float | None]
    check_at: Mapped[float | None]


class CreditNote(Base):
    __tablename__ = "credit_notes"

    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    return_number: Mapped[str] = mapped_column(ForeignKey("returns.number"), unique=True)
    amount_cents: Mapped[int]
    refund_id: Mapped[str] = mapped_column(String(40))


class DeadJob(Base):
    __tablename__ = "dead_jobs"

    key: Mapped[str] = mapped_column(String(60), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(200))
    at: Mapped[float]
