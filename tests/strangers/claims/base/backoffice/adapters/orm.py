from sqlalchemy import (
    Column, DateTime, ForeignKey, Integer, String, Table, Text, UniqueConstraint, create_engine, event,
)
from sqlalchemy.engine import Engine
from sqlalchemy.orm import registry

from backoffice.domain import model

mapper = registry()

claims = Table(
    "claims", mapper.metadata,
    Column("claim_no", String(16), primary_key=True),
    Column("policy_no", String(32), nullable=False),
    Column("holder", String(120), nullable=False),
    Column("iban", String(34), nullable=False),
    Column("status", String(16), nullable=False),
)
payouts = Table(
    "payouts", mapper.metadata,
    Column("claim_no", ForeignKey("claims.claim_no"), primary_key=True),
    Column("instalment", Integer, primary_key=True, autoincrement=False),
    Column("amount_cents", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("payment_id", String(64)),
    Column("reject_code", String(16)),
    Column("released_at", DateTime(timezone=True)),
    Column("paid_at", DateTime(timezone=True)),
)
ledger = Table(
    "ledger", mapper.metadata,
    Column("id", Integer, primary_key=True),
    Column("claim_no", String(16), nullable=False, index=True),
    Column("instalment", Integer, nullable=False),
    Column("account", String(32), nullable=False),
    Column("amount_cents", Integer, nullable=False),
    Column("booked_at", DateTime(timezone=True), nullable=False),
)
outbox = Table(
    "outbox", mapper.metadata,
    Column("id", Integer, primary_key=True),
    Column("claim_no", String(16), nullable=False),
    Column("instalment", Integer, nullable=False),
    Column("published_at", DateTime(timezone=True)),
    UniqueConstraint("claim_no", "instalment"),
)
dead_letters = Table(
    "dead_letters", mapper.metadata,
    Column("message_id", String(64), primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("died_at", DateTime(timezone=True), nullable=False),
)

mapper.map_imperatively(model.Claim, claims)
mapper.map_imperatively(model.Payout, payouts)
mapper.map_imperatively(model.LedgerEntry, ledger)
mapper.map_imperatively(model.OutboxMessage, outbox)
mapper.map_imperatively(model.DeadLetter, dead_letters)


def make_engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _connect(connection, _record):
            connection.isolation_level = None
            connection.execute("pragma busy_timeout = 20000")

        @event.listens_for(engine, "begin")
        def _begin(connection):
            # a unit of work reads before it writes: take the write lock at once
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
