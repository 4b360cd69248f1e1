from datetime import datetime, timezone

from sqlalchemy import JSON, ForeignKey, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import NullPool

from .settings import settings

# One file, transactions of a millisecond: sessions are synchronous on purpose, also inside coroutines.
engine = create_engine(f"sqlite:///{settings.database}", poolclass=NullPool, connect_args={"timeout": 20})
Session = sessionmaker(engine, expire_on_commit=False)


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    credit_cents: Mapped[int] = mapped_column(default=0)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    event: Mapped[str]
    amount_cents: Mapped[int]
    status: Mapped[str] = mapped_column(default="paid")  # paid, cancelled, refunded, used
    refund_id: Mapped[str | None]


class Step(Base):
    """What a job has finished, and with what result. Whoever is second finds the row."""

    __tablename__ = "steps"
    order_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    result: Mapped[dict] = mapped_column(JSON)


class Outbox(Base):
    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    payload: Mapped[dict] = mapped_column(JSON)
    sent_at: Mapped[str | None]


class DeadJob(Base):
    __tablename__ = "dead_jobs"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str]
    payload: Mapped[dict] = mapped_column(JSON)
    error: Mapped[str]
    died_at: Mapped[str] = mapped_column(default=now)


def create(demo: bool = True) -> None:
    Base.metadata.create_all(engine)
    if demo:
        with Session.begin() as session:
            session.add(Customer(id=1, email="ada@example.com"))
            for n in (1001, 1002):
                session.add(Order(id=f"ord-{n}", customer_id=1, event="jazz-night", amount_cents=n * 10))


if __name__ == "__main__":
    create()
