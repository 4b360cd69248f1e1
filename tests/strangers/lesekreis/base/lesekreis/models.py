from datetime import date, datetime, timezone

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, String, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    return datetime.now(timezone.utc)


class UtcDateTime(TypeDecorator):
    """Aware in Python, UTC in the store; SQLite forgets the zone."""
    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value, dialect):
        return value.replace(tzinfo=timezone.utc) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    pass


class Subscription(Base):
    __tablename__ = "subscriptions"
    id: Mapped[int] = mapped_column(primary_key=True)
    pay_account: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(60))
    price_cents: Mapped[int]
    period_days: Mapped[int]
    paid_until: Mapped[date]
    status: Mapped[str] = mapped_column(String(10), default="active")  # active, overdue, cancelled


class Renewal(Base):
    """One period of one subscription, to be paid once."""
    __tablename__ = "renewals"
    __table_args__ = (
        UniqueConstraint("subscription_id", "period_start"),
        CheckConstraint("status in ('due', 'charging', 'charged', 'declined', 'parked', 'void')"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id"))
    period_start: Mapped[date]
    period_end: Mapped[date]
    amount_cents: Mapped[int]
    status: Mapped[str] = mapped_column(String(10), default="due", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    first_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    wake_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)  # next try, or the end of the lease
    charge_id: Mapped[str | None] = mapped_column(String(60))

    @property
    def key(self) -> str:
        return f"renewal-{self.subscription_id}-{self.period_start:%Y%m%d}"


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    renewal_id: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(60))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
