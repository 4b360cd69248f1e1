import json
import sys
import time

from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    create_engine,
    insert,
)

from .config import config

metadata = MetaData()

# draft -> ready (approved) -> submitting -> accepted | failed;
# superseded: a newer revision was approved before this one had been accepted
schedules = Table(
    "schedules",
    metadata,
    Column("site", String(40), nullable=False),
    Column("day", String(10), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("mwh", Text, nullable=False),
    Column("status", String(12), nullable=False, default="draft"),
    Column("receipt", String(60)),
    Column("starts", Integer, nullable=False, default=0),
    Column("touched_at", Float, nullable=False, default=time.time),
    PrimaryKeyConstraint("site", "day", "revision"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("actor", String(60), nullable=False),
    Column("kwargs", Text, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("message_id", String(60), primary_key=True),
    Column("actor", String(60), nullable=False),
    Column("message", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("failed_at", Float, nullable=False, default=time.time),
)

engine = create_engine(
    config.database.url,
    connect_args={"timeout": 20} if config.database.url.startswith("sqlite") else {},
)


def demo():
    hours = json.dumps([4.2] * 24)
    with engine.begin() as con:
        con.execute(insert(schedules), [
            {"site": "albula", "day": "2026-03-01", "revision": 1, "mwh": hours, "status": "ready"},
            {"site": "albula", "day": "2026-03-02", "revision": 1, "mwh": hours, "status": "ready"},
            {"site": "moron", "day": "2026-03-01", "revision": 2, "mwh": hours, "status": "ready"},
        ])


if __name__ == "__main__":
    metadata.create_all(engine)
    if "--demo" in sys.argv[1:]:
        demo()
