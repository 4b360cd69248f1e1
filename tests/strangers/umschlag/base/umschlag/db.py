import psycopg
from psycopg.rows import dict_row

from .config import config


def connect():
    """`with connect() as conn` is one transaction: committed at the end, rolled
    back by an exception, closed in any case."""
    return psycopg.connect(config.dsn, row_factory=dict_row, connect_timeout=5)
