"""python -m tollgate.schema [--demo]"""
import sys
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager

from tollgate.settings import settings

DEMO = """
insert into vehicles values
    ('BE 4711', 'Fahrschule Lienhard', 'M-20-118'),
    ('SO 90210', 'R. Wyss', 'M-20-119'),
    ('FR 1', 'Transports Gremaud', null);
insert into passages values
    ('A7-20260314-000123', 'BE 4711', 'A7', '2026-03-14T07:12:09Z', 340),
    ('A7-20260314-000124', 'SO 90210', 'A7', '2026-03-14T07:12:31Z', 340),
    ('B2-20260314-000009', 'BE 4711', 'B2', '2026-03-14T07:40:00Z', 580);
"""


def apply(dsn: str, demo: bool = False) -> None:
    with psycopg.connect(dsn) as conn:
        if conn.execute("select to_regclass('procrastinate_jobs')").fetchone()[0] is None:
            conn.execute(SchemaManager.get_schema())
        conn.execute((Path(__file__).parent / "schema.sql").read_text())
        if demo:
            conn.execute(DEMO)


if __name__ == "__main__":
    apply(settings().dsn, demo="--demo" in sys.argv[1:])
