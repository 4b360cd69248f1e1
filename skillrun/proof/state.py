"""The state queries of a spec: what the world looks like at the end of a schedule."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

_QUERY_S = 10.0  # a query that takes longer is interrupted


class Store(Protocol):
    """A database that can be asked."""

    def query(self, sql: str) -> list[list[Any]]:
        """All rows. Raises StateError."""

    def tables_read(self, sql: str) -> set[str]:
        """The tables that a query reads, lower case."""


class StateError(Exception):
    """A query that cannot be answered; the words are for a person."""


class SqliteStore:
    """A SQLite file. A rollback journal that a killed process left is played back by opening it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def query(self, sql: str) -> list[list[Any]]:
        rows: list[list[Any]] = self._ask(
            lambda c: [[_plain(value) for value in row] for row in c.execute(sql)]
        )
        return rows

    def _ask(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if not self.path.exists():
            raise StateError(f"there is no database {self.path.name} in the scratch folder")
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=5.0)) as connection:
                connection.execute("pragma query_only = 1")
                deadline = time.monotonic() + _QUERY_S
                connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
                return work(connection)
        except sqlite3.Error as error:
            slow = str(error) == "interrupted"
            raise StateError(
                f"it takes longer than {_QUERY_S:g} s" if slow else str(error)
            ) from error

    def tables_read(self, sql: str) -> set[str]:
        """Exact, also through views: SQLite's authorizer names them."""
        read: set[str] = set()

        def authorize(action: int, table: str | None, *_: Any) -> int:
            if action == sqlite3.SQLITE_READ and table:
                read.add(table.lower())
            return sqlite3.SQLITE_OK

        def work(connection: sqlite3.Connection) -> None:
            connection.set_authorizer(authorize)
            connection.execute(f"explain {sql}").fetchall()

        self._ask(work)
        return read | words(sql)

    def contents(self) -> dict[str, str]:
        """Table -> digest of its rows: which tables a delivery wrote, whoever did it."""

        def work(connection: sqlite3.Connection) -> dict[str, str]:
            names = [
                row[0]
                for row in connection.execute(
                    "select name from sqlite_master where type = 'table' and name not like"
                    " 'sqlite_%'"
                )
            ]
            return {
                name: repr(sorted(map(repr, connection.execute(f'select * from "{name}"'))))
                for name in names
            }

        try:
            found: dict[str, str] = self._ask(work)
        except StateError:
            return {}
        return found


def words(sql: str) -> set[str]:
    """Every word of a query, lower case."""
    return {word.lower() for word in re.findall(r"\w+", sql)}


def read_state(store: Store | None, queries: Mapping[str, str]) -> dict[str, Any]:
    """Query name -> rows; an error is a text that begins with "error: "."""
    if store is None:
        return {}
    found: dict[str, Any] = {}
    for name, sql in queries.items():
        try:
            found[name] = store.query(sql)
        except StateError as error:
            found[name] = f"error: {error}"
    return found


def count(store: Store | None, sql: str | None) -> int | None:
    """The number that a counting query gives: its first cell, else its rows. Raises StateError."""
    if store is None or sql is None:
        return None
    rows = store.query(sql)
    if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], int):
        return rows[0][0]
    return len(rows)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
