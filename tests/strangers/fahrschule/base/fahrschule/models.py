from datetime import datetime, timezone

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


def now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Learner(db.Model):
    __tablename__ = "learner"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    card_token: Mapped[str]
    lessons_left: Mapped[int] = mapped_column(default=0)


class Purchase(db.Model):
    __tablename__ = "purchase"
    __table_args__ = (CheckConstraint("state in ('open', 'paid', 'declined', 'failed')"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id"))
    lessons: Mapped[int]
    amount_cents: Mapped[int]
    state: Mapped[str] = mapped_column(default="open")
    charge_id: Mapped[str | None]
    decline_code: Mapped[str | None]
    starts: Mapped[int] = mapped_column(default=0)
    requested_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    touched_at: Mapped[datetime | None]

    learner: Mapped[Learner] = relationship()


class DeadLetter(db.Model):
    __tablename__ = "dead_letter"

    subject: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str]
    reason: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(default=now)
