import psycopg
from psycopg.rows import dict_row

from tollgate.settings import settings


def connect() -> psycopg.Connection:
    """A connection of its own; as a context manager it commits, or rolls back, and closes."""
    return psycopg.connect(
        settings().dsn,
        row_factory=dict_row,
        connect_timeout=5,
        options="-c lock_timeout=45s",
    )
