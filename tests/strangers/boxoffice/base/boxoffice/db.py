"""Tables, and transactions on SQLite."""
import functools
import sys

from sqlalchemy import (
    JSON, CheckConstraint, Column, Float, ForeignKey, Integer, MetaData, String, Table,
    create_engine, event, insert,
)

from boxoffice import config

metadata = MetaData()

orders = Table(
    "orders", metadata,
    Column("id", Integer, primary_key=True),
    Column("customer_email", String, nullable=False),
    Column("show", String, nullable=False),
    Column("amount_cents", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("charge_id", String, nullable=False),
    Column("status", String, CheckConstraint("status in ('paid', 'refunded')"), nullable=False),
)
tickets = Table(
    "tickets", metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("seat", String, nullable=False),
    Column("void", Integer, nullable=False, default=0),
)
refunds = Table(
    "refunds", metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("amount_cents", Integer, nullable=False),
    Column("status", String, CheckConstraint("status in ('pending', 'refunded', 'failed')"), nullable=False),
    Column("notice", String, CheckConstraint("notice in ('due', 'sent', 'failed')"), nullable=False),
    Column("paynest_id", String),
    Column("attempts", Integer, nullable=False, default=0),
    Column("first_tried_at", Float),
    Column("touched_at", Float, nullable=False),
)
ledger = Table(
    "ledger", metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("amount_cents", Integer, nullable=False),
)
outbox = Table(
    "outbox", metadata,
    Column("id", Integer, primary_key=True),
    Column("actor", String, nullable=False),
    Column("kwargs", JSON, nullable=False),
)
dead_letters = Table(
    "dead_letters", metadata,
    Column("message_id", String, primary_key=True),
    Column("order_id", Integer),
    Column("kwargs", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("dead_at", Float, nullable=False),
    Column("resolved_at", Float),
)


@functools.lru_cache(maxsize=None)
def engine():
    made = create_engine(config.DATABASE, connect_args={"timeout": 20})

    # SQLAlchemy's recipe: sqlite3 begins no transactions by itself, and ours begin as writers,
    # so that nobody changes a row between our select and our update.
    @event.listens_for(made, "connect")
    def connected(dbapi_connection, record):
        dbapi_connection.isolation_level = None
        dbapi_connection.execute("pragma journal_mode = wal")

    @event.listens_for(made, "begin")
    def begun(connection):
        connection.exec_driver_sql("begin immediate")

    return made


def begin():
    return engine().begin()


def create(example: bool = False) -> None:
    metadata.create_all(engine())
    if not example:
        return
    with begin() as tx:
        tx.execute(insert(orders), [
            {"id": 1, "customer_email": "ada@example.org", "show": "Der Freischuetz", "amount_cents": 9800,
             "currency": "CHF", "charge_id": "ch_11", "status": "paid"},
            {"id": 2, "customer_email": "ben@example.org", "show": "Der Freischuetz", "amount_cents": 4900,
             "currency": "CHF", "charge_id": "ch_12", "status": "paid"},
            {"id": 3, "customer_email": "cleo@example.org", "show": "Tosca", "amount_cents": 15600,
             "currency": "EUR", "charge_id": "ch_13", "status": "paid"},
        ])
        tx.execute(insert(tickets), [
            {"order_id": 1, "seat": "A1"}, {"order_id": 1, "seat": "A2"}, {"order_id": 2, "seat": "C7"},
            {"order_id": 3, "seat": "F3"}, {"order_id": 3, "seat": "F4"}, {"order_id": 3, "seat": "F5"},
        ])


if __name__ == "__main__":
    create(example="--example" in sys.argv)
