from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    pass


class Subscriber(Base):
    __tablename__ = "subscribers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(default=True)


class Issue(Base):
    __tablename__ = "issues"
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    html: Mapped[str]


class Delivery(Base):
    """One issue for one reader. pending -> sent, skipped or failed; failed -> pending by hand."""

    __tablename__ = "deliveries"
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    token: Mapped[str] = mapped_column(default=lambda: uuid4().hex)
    status: Mapped[str] = mapped_column(default="pending")
    house_id: Mapped[str | None]
    queued_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "payload"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    payload: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)
