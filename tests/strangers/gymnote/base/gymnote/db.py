from datetime import datetime, timezone

from sqlalchemy import JSON, ForeignKey, String, Text, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

from gymnote import config

engine = create_engine(config.DATABASE_URL)
Session = sessionmaker(engine, expire_on_commit=False)

if engine.dialect.name == "sqlite":
    # SQLAlchemy's recipe for real transactions; IMMEDIATE makes writers wait for each other
    @event.listens_for(engine, "connect")
    def _connect(connection, record):
        connection.isolation_level = None
        connection.execute("pragma busy_timeout = 20000")

    @event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("begin immediate")


def utcnow():
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(120))
    card_token: Mapped[str] = mapped_column(String(60))
    standing: Mapped[str] = mapped_column(String(10), default="good")  # good, dunned, blocked


class Invoice(Base):
    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    month: Mapped[str] = mapped_column(String(7))
    cents: Mapped[int]
    state: Mapped[str] = mapped_column(String(12), default="open")  # open, charged, settled, unpaid
    charge_id: Mapped[str | None] = mapped_column(String(60))
    mail_id: Mapped[str | None] = mapped_column(String(60))
    member: Mapped[Member] = relationship()


class Dunning(Base):
    """That an invoice is to be dunned, and how far this has come.

    pending: to be put on the queue; queued: the queue has been told; then done or dead.
    """

    __tablename__ = "dunnings"

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(10), default="pending")
    starts: Mapped[int] = mapped_column(default=0)
    first_start: Mapped[datetime | None]
    touched_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class DeadJob(Base):
    __tablename__ = "dead_jobs"

    task_id: Mapped[str] = mapped_column(String(60), primary_key=True)
    task: Mapped[str] = mapped_column(String(60))
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    died_at: Mapped[datetime] = mapped_column(default=utcnow)
