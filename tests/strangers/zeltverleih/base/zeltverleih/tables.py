import functools

from sqlalchemy import (
    CheckConstraint, Column, Float, ForeignKey, Integer, MetaData, String, Table, create_engine, event,
)

from .settings import settings

metadata = MetaData()

rentals = Table(
    "rentals", metadata,
    Column("id", Integer, primary_key=True),
    Column("tent", String, nullable=False),
    Column("customer_email", String, nullable=False),
    Column("deposit_cents", Integer, nullable=False),
    Column("charge_id", String, nullable=False),
    Column("status", String, nullable=False, server_default="out"),
    CheckConstraint("status in ('out', 'returned')"),
)

refunds = Table(
    "refunds", metadata,
    Column("id", Integer, primary_key=True),
    Column("rental_id", ForeignKey("rentals.id"), nullable=False, unique=True),
    Column("charge_id", String, nullable=False),
    Column("amount_cents", Integer, nullable=False),
    Column("idempotency_key", String, nullable=False, unique=True),
    Column("state", String, nullable=False, server_default="due"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Float, nullable=False),
    Column("first_try_at", Float),
    Column("lease_owner", String),
    Column("lease_until", Float),
    Column("refund_id", String),
    CheckConstraint("state in ('due', 'done', 'dead')"),
)

cash_book = Table(
    "cash_book", metadata,
    Column("id", Integer, primary_key=True),
    Column("rental_id", ForeignKey("rentals.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("cents", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

dead_letters = Table(
    "dead_letters", metadata,
    Column("refund", ForeignKey("refunds.id"), primary_key=True),
    Column("reason", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", Float, nullable=False),
)


@functools.cache
def engine():
    made = create_engine(settings.database_url, hide_parameters=True, connect_args={"timeout": 15})

    @event.listens_for(made, "connect")
    def no_implicit_begin(dbapi_connection, _):
        dbapi_connection.isolation_level = None

    @event.listens_for(made, "begin")
    def begin_immediate(conn):
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    return made
