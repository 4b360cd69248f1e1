"""Which version of the schema a SQLite file has, and whether it is a ledger at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from skillrun.core.errors import LedgerUnusable

# "SKRN" in the header of the file.
APPLICATION_ID = 0x534B524E
# The highest number in ledger/migrations.
SCHEMA_VERSION = 4


def stored_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version in the file, 0 for a fresh one. Raises LedgerUnusable for a newer one and
    for foreign files.

    Migrations write version and tables in one transaction: a file that has tables and no version
    was changed.

    One statement, so that another process cannot finish its migration between two looks.
    """
    query = """
        SELECT application_id, user_version, EXISTS (SELECT 1 FROM sqlite_schema)
        FROM pragma_application_id, pragma_user_version"""
    application, version, filled = connection.execute(query).fetchone()
    if application != APPLICATION_ID and (application or version or filled):
        raise LedgerUnusable(
            f"{path}: a SQLite database, but not a ledger", hint="name another file with --ledger"
        )
    if filled and not version:
        raise LedgerUnusable(
            f"{path}: its version is gone: it was changed", hint="restore the file from a copy"
        )
    if version > SCHEMA_VERSION:
        raise LedgerUnusable(
            f"{path}: written by a newer skillrun (ledger version {version}, this one knows"
            f" {SCHEMA_VERSION})",
            hint="upgrade skillrun, or name another file with --ledger",
        )
    return int(version)
