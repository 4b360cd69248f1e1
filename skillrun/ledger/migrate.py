"""Brings a ledger to the current schema version, in one transaction, with any number of processes
trying at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from skillrun.core.resources import resource
from skillrun.ledger.versions import APPLICATION_ID, stored_version


def migrate_to_newest(connection: sqlite3.Connection, path: Path) -> None:
    """Applies the missing migrations. The version is read again under the lock: another process may
    have been first.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number, script in read_migrations():
            if number > stored_version(connection, path):
                apply_migration(connection, number, script)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def apply_migration(connection: sqlite3.Connection, number: int, script: str) -> None:
    """Runs one migration inside the caller's transaction (executescript would commit first)."""
    for statement in split_statements(script):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {number}")


def add_missing_views(connection: sqlite3.Connection, path: Path) -> None:
    """Gives a connection that only reads the views that a later version has: they are its own, and
    the file stays as it is.
    """
    version = stored_version(connection, path)
    for number, script in read_migrations():
        if number <= version:
            continue
        for statement in split_statements(script):
            head, word, rest = statement.partition("CREATE VIEW ")
            if word:
                connection.execute(f"{head}CREATE TEMP VIEW {rest}")


def read_migrations() -> list[tuple[int, str]]:
    """Number and SQL of every migration, in order."""
    files = sorted(resource("ledger", "migrations").glob("[0-9]*.sql"))
    found = []
    for file in files:
        number = int(file.name.split("_")[0])
        found.append((number, file.read_text("utf-8")))
    return found


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger's inner semicolons do not split it."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
