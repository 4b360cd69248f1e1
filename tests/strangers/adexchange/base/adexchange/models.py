from datetime import datetime, timezone

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Campaign(Base):
    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    provider_ref: Mapped[str] = mapped_column(unique=True)
    budget_cents: Mapped[int] = mapped_column(default=0)


class TopUp(Base):
    __tablename__ = "top_ups"
    __table_args__ = (CheckConstraint("status in ('ordered', 'booked', 'dead')"), CheckConstraint("amount_cents > 0"))

    order_no: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    amount_cents: Mapped[int]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="ordered")
    starts: Mapped[int] = mapped_column(default=0)
    first_tried_at: Mapped[datetime | None]
    touched_at: Mapped[datetime] = mapped_column(default=now)
    receipt: Mapped[str | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str | None]
    reason: Mapped[str]
    attempts: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
