"""The schema. `python -m renewals.tables` creates it, with a small portfolio to play with; again changes nothing."""

from functools import cache

from sqlalchemy import (
    CheckConstraint, Column, Engine, Index, Integer, MetaData, String, Table, UniqueConstraint, create_engine,
)  # fmt: skip

from renewals import config

metadata = MetaData()

renewals = Table(
    "renewals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("policy_no", String(20), nullable=False),
    Column("period_start", String(10), nullable=False),  # ISO date
    Column("premium_cents", Integer, nullable=False),
    Column("status", String(10), nullable=False, default="due"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("first_attempt_at", Integer),  # all times: seconds since the epoch
    Column("next_attempt_at", Integer, nullable=False),
    Column("lease_until", Integer),
    Column("last_error", String(500)),
    Column("confirmation", String(50)),
    Column("version", Integer, nullable=False, default=0),
    UniqueConstraint("policy_no", "period_start"),
    CheckConstraint("status in ('due', 'running', 'done', 'dead')"),
    Index("renewals_due", "status", "next_attempt_at"),
)

premium_postings = Table(
    "premium_postings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("policy_no", String(20), nullable=False),
    Column("period_start", String(10), nullable=False),
    Column("premium_cents", Integer, nullable=False),
    Column("posted_at", Integer, nullable=False),
)

dead_renewals = Table(
    "dead_renewals",
    metadata,
    Column("renewal_id", Integer, primary_key=True, autoincrement=False),
    Column("policy_no", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("died_at", Integer, nullable=False),
)

PORTFOLIO = [
    (1, "HH-2023-00417", "2024-01-01", 18_950),
    (2, "MV-2022-10023", "2024-01-01", 61_200),
    (3, "LI-2021-00009", "2024-01-15", 240_000),
    (4, "HH-2023-00871", "2024-02-01", 21_300),
]


@cache
def engine() -> Engine:
    return create_engine(config.database_url(), connect_args={"timeout": 15})


def setup() -> None:
    from renewals.intake import register

    metadata.create_all(engine())
    for row in PORTFOLIO:
        register(*row)


if __name__ == "__main__":
    setup()
