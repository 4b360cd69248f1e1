import datetime as dt

from sqlalchemy import Date, DateTime, ForeignKey, Integer, String, Text, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker
from sqlalchemy.pool import NullPool

from . import settings

# RQ forks for each job, and SQLite connections must not cross a fork: no pool.
engine = create_engine(
    f"sqlite:///{settings.DATABASE}", poolclass=NullPool, connect_args={"timeout": 15}
)
Session = sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine, "connect")
def _pragmas(connection, _record):
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma foreign_keys=on")


class Base(DeclarativeBase):
    pass


class Patron(Base):
    __tablename__ = "patrons"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(120))


class Loan(Base):
    __tablename__ = "loans"
    id: Mapped[int] = mapped_column(primary_key=True)
    patron_id: Mapped[int] = mapped_column(ForeignKey("patrons.id"))
    title: Mapped[str] = mapped_column(String(200))
    due_on: Mapped[dt.date] = mapped_column(Date)
    returned_on: Mapped[dt.date | None] = mapped_column(Date)
    reminded: Mapped[int] = mapped_column(Integer, default=0)  # level of the last notice asked for
    patron: Mapped[Patron] = relationship()


class Notice(Base):
    """What became of one notice: pending, then sent, void or dead."""

    __tablename__ = "notices"
    loan_id: Mapped[int] = mapped_column(ForeignKey("loans.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(10), default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    fee_ref: Mapped[str | None] = mapped_column(String(40))


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    job: Mapped[str] = mapped_column(String(40))
    message: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[dt.datetime] = mapped_column(DateTime, default=dt.datetime.utcnow)
