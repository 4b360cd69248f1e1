from datetime import UTC, date, datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def utcnow() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Bill(Base):
    __tablename__ = "bills"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    meter: Mapped[str] = mapped_column(String(20))
    customer: Mapped[str] = mapped_column(String(80))
    reading_from: Mapped[int]
    reading_to: Mapped[int]
    cents_per_m3: Mapped[int]
    issued_on: Mapped[date]
    status: Mapped[str] = mapped_column(String(10), default="draft")
    attempts: Mapped[int] = mapped_column(default=0)
    receipt: Mapped[str | None] = mapped_column(String(60))
    touched_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}

    @property
    def open(self) -> bool:
        return self.status in ("draft", "released")

    def invoice(self) -> dict:
        """What the gateway gets: nothing but what stands in the row, so that it is the same each time."""
        used = self.reading_to - self.reading_from
        return {
            "number": self.number,
            "issued_on": self.issued_on.isoformat(),
            "recipient": self.customer,
            "lines": [{"text": f"water, meter {self.meter}", "m3": used, "cents": used * self.cents_per_m3}],
            "total_cents": used * self.cents_per_m3,
        }


class ParkedBill(Base):
    """Dead letters."""

    __tablename__ = "parked_bills"

    ref: Mapped[str] = mapped_column(String(60), primary_key=True)
    bill_id: Mapped[int | None] = mapped_column(ForeignKey("bills.id"))
    reason: Mapped[str] = mapped_column(String(80))
    attempts: Mapped[int]
    parked_at: Mapped[datetime] = mapped_column(default=utcnow)
