"""Tables and the engine. Times are whole seconds since 1970, UTC."""
from functools import lru_cache

from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, create_engine, event

from windpark import config

metadata = MetaData()

orders = Table(
    "curtailment_orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("park", String(40), nullable=False),
    Column("limit_kw", Integer, nullable=False),
    Column("valid_from", Integer, nullable=False),
    Column("valid_to", Integer, nullable=False),
    Column("send_at", Integer, nullable=False),
    Column("duty_phone", String(40)),  # of the engineer on duty
    # pending -> acknowledged | dead | withdrawn
    Column("state", String(16), nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_tried_at", Integer),
    Column("lease", String(32)),
    Column("leased_until", Integer, nullable=False, server_default="0"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("order_id", Integer, ForeignKey("curtailment_orders.id"), primary_key=True),
    Column("reference", String(80), nullable=False),
    Column("received_at", Integer, nullable=False),
)

dead_orders = Table(
    "dead_orders",
    metadata,
    Column("order_id", Integer, ForeignKey("curtailment_orders.id"), primary_key=True),
    Column("reason", String(200), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("buried_at", Integer, nullable=False),
)


@lru_cache(maxsize=None)
def _engine(url: str) -> Engine:
    made = create_engine(url, connect_args={"timeout": 10})

    @event.listens_for(made, "connect")
    def _no_implicit_begin(connection, _record):
        connection.isolation_level = None

    @event.listens_for(made, "begin")
    def _begin(connection):
        # every transaction here writes: take the lock at once, never upgrade to it
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def engine() -> Engine:
    return _engine(config.load().database_url)
