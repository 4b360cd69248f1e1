"""python -m frachtweg.admin: schemas and demo rows."""
from pathlib import Path

from procrastinate import SyncPsycopgConnector

from .db import DSN, connect
from .queue import app


def migrate():
    with connect() as conn:
        conn.execute(Path(__file__).with_name("schema.sql").read_text())
        theirs = conn.execute("select to_regclass('procrastinate_jobs') t").fetchone()["t"]
    if theirs is None:
        with app.with_connector(SyncPsycopgConnector(conninfo=DSN)).open() as ours:
            ours.schema_manager.apply_schema()


def demo():
    with connect() as conn:
        conn.execute("insert into routes values (1, 'Basel - Bern', 0), (2, 'Basel - Chur', 0) on conflict do nothing")
        conn.execute(
            "insert into consignments (id, route_id, consignee, parcels, grams) values"
            " (1, 1, 'Moser AG, Bern', 3, 42000), (2, 1, 'Caflisch, Thun', 1, 900) on conflict do nothing"
        )


if __name__ == "__main__":
    migrate()
    demo()
