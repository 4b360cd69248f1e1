from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import psycopg
from procrastinate import App, SyncPsycopgConnector
from psycopg.rows import dict_row

from pfandhaus import settings
from pfandhaus.loans import LoanRepository


@contextmanager
def transaction():
    """A repository whose statements are committed together."""
    with psycopg.connect(settings.DSN, row_factory=dict_row, connect_timeout=5) as conn:
        yield LoanRepository(conn)


def now():
    return datetime.now(timezone.utc)


def create():
    with psycopg.connect(settings.DSN) as conn:
        conn.execute(Path(__file__).with_name("schema.sql").read_text())
        present = conn.execute("select to_regclass('procrastinate_jobs')").fetchone()[0]
    if present is None:
        with App(connector=SyncPsycopgConnector(conninfo=settings.DSN)).open() as app:
            app.schema_manager.apply_schema()


def demo():
    with psycopg.connect(settings.DSN) as conn:
        conn.execute(
            "insert into loans (id, pledge, iban, amount_cents) values"
            " (1, 'wrist watch', 'DE02120300000000202051', 42000),"
            " (2, 'accordion', 'DE02500105170137075030', 18000),"
            " (3, 'gold ring', 'DE02100500000054540402', 9500) on conflict do nothing"
        )
