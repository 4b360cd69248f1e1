"""The database: python -m petvault.tables [--demo]"""
import sys
from functools import lru_cache

from sqlalchemy import (
    CheckConstraint, Column, Date, Engine, ForeignKey, Integer, MetaData, NullPool, String, Table,
    create_engine,
)
from sqlalchemy.dialects.sqlite import insert  # noqa: F401  (for on_conflict_do_nothing)

from petvault import settings

metadata = MetaData()

invoices = Table(
    "invoices", metadata,
    Column("id", Integer, primary_key=True),
    Column("number", String, nullable=False, unique=True),
    Column("issued_on", Date, nullable=False),
    Column("owner", String, nullable=False),
    Column("email", String, nullable=False),
    Column("animal", String, nullable=False),
    Column("total_cents", Integer, nullable=False),
)

# One row per invoice that is to be delivered: how far it is, and who is at it until when.
deliveries = Table(
    "deliveries", metadata,
    Column("invoice_id", ForeignKey("invoices.id"), primary_key=True),
    Column("status", String, nullable=False, server_default="open"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("holder", String),
    Column("leased_until", Integer, nullable=False, server_default="0"),
    Column("queued_for", Integer),  # when its message should run; null: not published yet
    Column("object_key", String),
    CheckConstraint("status in ('open', 'mailed', 'failed')"),
)

dead_invoices = Table(
    "dead_invoices", metadata,
    Column("subject", String, primary_key=True),  # invoice:<id>, or message:<digest>
    Column("reason", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failed_at", Integer, nullable=False),
)


@lru_cache
def engine() -> Engine:
    return create_engine(
        f"sqlite:///{settings.DATABASE}", poolclass=NullPool, connect_args={"timeout": 20}
    )


def demo() -> None:
    from datetime import date

    with engine().begin() as tx:
        tx.execute(
            invoices.insert(),
            [
                dict(number="2026-0117", issued_on=date(2026, 4, 2), owner="Nora Bieri",
                     email="nora@post.example", animal="Minka", total_cents=18450),
                dict(number="2026-0118", issued_on=date(2026, 4, 2), owner="Beat Zgraggen",
                     email="beat@post.example", animal="Rex", total_cents=9900),
                dict(number="2026-0119", issued_on=date(2026, 4, 3), owner="Nora Bieri",
                     email="nora@post.example", animal="Minka", total_cents=4200),
            ],
        )


if __name__ == "__main__":
    metadata.create_all(engine())
    if "--demo" in sys.argv[1:]:
        demo()
