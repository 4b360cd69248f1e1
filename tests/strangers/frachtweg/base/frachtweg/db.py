import os
from datetime import datetime, timezone

import psycopg
from psycopg.rows import dict_row

DSN = os.environ.get("FRACHTWEG_DSN", "dbname=frachtweg")


def connect():
    """A transaction: committed at the end of the with, rolled back on errors."""
    return psycopg.connect(DSN, row_factory=dict_row, connect_timeout=10)


def now():
    return datetime.now(timezone.utc)
