"""python -m zahnlabor.tables [--demo]: lay out the database."""

import functools
import sys

from sqlalchemy import Column, Engine, Integer, JSON, MetaData, String, Table, create_engine, insert, select

from zahnlabor import clock, config

metadata = MetaData()

work_orders = Table(
    "work_orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dentist", String(80), nullable=False),
    Column("patient", String(80), nullable=False),
    Column("teeth", String(60), nullable=False),
    Column("material", String(30), nullable=False),
    Column("shade", String(4), nullable=False),
    Column("model_file", String(120), nullable=False),
    Column("status", String(10), nullable=False, server_default="draft"),  # draft released milling failed
    Column("mill_job", String(40)),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("released_at", Integer),
    Column("due_at", Integer),  # when the sweep looks after it
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("key", String(60), primary_key=True),
    Column("actor", String(60), nullable=False),
    Column("message", JSON, nullable=False),
    Column("job_id", String(60), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("buried_at", Integer, nullable=False),
)


@functools.lru_cache(maxsize=None)
def _engine(url: str) -> Engine:
    # Parameters stay out of error messages: those end up in the log.
    options = {"connect_args": {"timeout": 20}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return create_engine(url, hide_parameters=True, **options)


def engine() -> Engine:
    return _engine(config.database_url())


def demo() -> None:
    now = clock.now()
    rows = [
        dict(id=1, dentist="Praxis Dr. Amsel", patient="Erika Sommer", teeth="11,21", material="zirconia", shade="A2",
             model_file="1.stl", status="draft"),
        dict(id=2, dentist="Praxis Dr. Amsel", patient="Jan Winter", teeth="36", material="pmma", shade="B1",
             model_file="2.stl", status="released", released_at=now, due_at=now + 30 * config.DAY),
        dict(id=3, dentist="Praxis am Markt", patient="Lea Herbst", teeth="14", material="zirconia", shade="A3",
             model_file="3.stl", status="released", released_at=now, due_at=now + 30 * config.DAY),
    ]
    with engine().begin() as conn:
        if conn.scalar(select(work_orders.c.id).limit(1)) is None:
            for row in rows:
                conn.execute(insert(work_orders).values(row))


if __name__ == "__main__":
    metadata.create_all(engine())
    if "--demo" in sys.argv[1:]:
        demo()
