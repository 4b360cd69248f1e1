from datetime import datetime, timezone

from sqlalchemy import DateTime, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# reserved -> placed -> charging -> paid -> refund_due -> refunded
#                 \         \-> declined       \-> attention
#                  \-> cancelled \-> attention
RESERVED = "reserved"
PLACED = "placed"
CHARGING = "charging"
PAID = "paid"
REFUND_DUE = "refund_due"
REFUNDED = "refunded"
CANCELLED = "cancelled"
DECLINED = "declined"
ATTENTION = "attention"

UNSETTLED = (PLACED, CHARGING, REFUND_DUE)


def utcnow() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(String(120))
    buyer: Mapped[str] = mapped_column(String(200))
    card_token: Mapped[str] = mapped_column(String(80))
    amount_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="CHF")
    status: Mapped[str] = mapped_column(String(20), default=RESERVED, index=True)
    charge_id: Mapped[str | None] = mapped_column(String(80))
    refund_id: Mapped[str | None] = mapped_column(String(80))
    # when the settlement's message was handed to the broker; null: still to be published
    published_at: Mapped[datetime | None] = mapped_column(DateTime)
    touched_at: Mapped[datetime] = mapped_column(DateTime, default=utcnow)
    # starts of the settlement that neither finished nor failed: their worker died
    unreturned: Mapped[int] = mapped_column(default=0)


class FailedSettlement(Base):
    """The dead letters: what the settlement gave up on, and why."""

    __tablename__ = "failed_settlements"
    __table_args__ = (UniqueConstraint("task_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(String(80))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    message: Mapped[str]
    error: Mapped[str]
    failed_at: Mapped[datetime] = mapped_column(DateTime, default=utcnow)
