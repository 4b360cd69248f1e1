"""The database of the shop."""

import os
import sqlite3


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(os.environ["BILLING_DB"], timeout=10.0)
    connection.row_factory = sqlite3.Row
    return connection
