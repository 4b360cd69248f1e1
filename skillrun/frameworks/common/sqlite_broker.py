"""A SQLite file as a library's broker; the libraries differ in their tables."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class SqliteBroker:
    """Asks and changes the rows of a file. Where it or a table is not there yet, nothing waits."""

    ALONE = False
    ENDS_APART = False

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = str(file)
        self.kept: list[Any] = []

    def ask_rows(self, sql: str) -> list[Any]:
        """The rows of a query."""
        if not self.file.exists():
            return []
        with contextlib.closing(self._open_file()) as connection, connection, _without_table():
            return connection.execute(sql).fetchall()
        return []

    def change_rows(self, sql: str, rows: Iterable[Any] = ((),)) -> None:
        """One statement, once for each of the rows."""
        if not self.file.exists():
            return
        with contextlib.closing(self._open_file()) as connection, connection, _without_table():
            connection.executemany(sql, rows)

    def count_rows(self, table: str, where: str = "1") -> int:
        """How many there are of a kind."""
        found = self.ask_rows(f"select count(*) from {table} where {where}")
        return sum(count for (count,) in found)

    def list_names(self, column: str, table: str) -> list[str]:
        """The different values of a column."""
        return [name for (name,) in self.ask_rows(f"select distinct {column} from {table}")]

    def empty_queues(self) -> None:
        """Nothing by itself: the application's own file is put back with the rest."""

    def stop(self) -> None:
        """It has no server."""

    def _open_file(self) -> sqlite3.Connection:
        # The worker may hold the file for a moment.
        return sqlite3.connect(self.file, timeout=10)


@contextlib.contextmanager
def _without_table() -> Iterator[None]:
    """The application makes its tables when it first needs them."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
