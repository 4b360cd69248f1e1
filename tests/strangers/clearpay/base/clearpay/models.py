from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, UniqueConstraint, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from . import clock
from .settings import settings

engine = create_engine(settings.database_url, connect_args={"timeout": 15}, hide_parameters=True)
Session = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Employee(Base):
    __tablename__ = "employees"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    iban: Mapped[str]


class Claim(Base):
    __tablename__ = "claims"
    id: Mapped[int] = mapped_column(primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employees.id"))
    amount_cents: Mapped[int]
    status: Mapped[str] = mapped_column(default="submitted")  # submitted, approved, paid


class Payout(Base):
    """What the bank is asked for; amount and IBAN as they were on approval."""

    __tablename__ = "payouts"
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"), primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    iban: Mapped[str]
    amount_cents: Mapped[int]
    status: Mapped[str] = mapped_column(default="pending")  # pending, paid, failed
    starts: Mapped[int] = mapped_column(default=0)
    bank_ref: Mapped[str | None]
    moved_at: Mapped[datetime | None]  # last published or started


class Posting(Base):
    __tablename__ = "postings"
    id: Mapped[int] = mapped_column(primary_key=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"), unique=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employees.id"))
    amount_cents: Mapped[int]
    booked_on: Mapped[date]
    period_id: Mapped[int | None] = mapped_column(ForeignKey("periods.id"))


class Period(Base):
    __tablename__ = "periods"
    id: Mapped[int] = mapped_column(primary_key=True)
    starts_on: Mapped[date] = mapped_column(unique=True)
    ends_on: Mapped[date]
    status: Mapped[str] = mapped_column(default="open")  # open, closed


class PayslipLine(Base):
    __tablename__ = "payslip_lines"
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"), primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employees.id"), primary_key=True)
    expenses_cents: Mapped[int]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("job", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    key: Mapped[str]
    message: Mapped[dict] = mapped_column(JSON)
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=clock.now)
