import enum
import uuid
from datetime import datetime, timezone

from sqlalchemy import JSON, DateTime, Enum, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """UTC without a zone, as SQLite keeps it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class ClaimStatus(enum.Enum):
    DRAFT = "draft"
    RELEASED = "released"
    ACCEPTED = "accepted"
    FAILED = "failed"


class Base(DeclarativeBase):
    pass


class Claim(Base):
    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(primary_key=True)
    branch: Mapped[str] = mapped_column(String(40))
    insured_no: Mapped[str] = mapped_column(String(20))
    pzn: Mapped[str] = mapped_column(String(8))
    amount_cents: Mapped[int]
    status: Mapped[ClaimStatus] = mapped_column(
        Enum(ClaimStatus, native_enum=False, length=12, values_callable=lambda e: [m.value for m in e]),
        default=ClaimStatus.DRAFT,
    )
    submission_key: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid.uuid4()))
    insurer_ref: Mapped[str | None] = mapped_column(String(64))
    starts: Mapped[int] = mapped_column(default=0)
    released_at: Mapped[datetime | None] = mapped_column(DateTime)
    due_at: Mapped[datetime | None] = mapped_column(DateTime)


class DeadLetter(Base):
    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(60))
    key: Mapped[str] = mapped_column(String(60), unique=True)
    task_id: Mapped[str] = mapped_column(String(60))
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(200))
    buried_at: Mapped[datetime] = mapped_column(DateTime, default=now)
