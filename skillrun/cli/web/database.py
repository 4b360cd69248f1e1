"""The ledger as Datasette's database: read as skillrun reads it, while runs go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasette.database import Database

from skillrun.ledger.connection import (
    explain_undecodable,
    is_of_the_file,
    open_reader,
    quote_undecodable,
)
from skillrun.runner.files_now import known_repo, query_params

# A page that waits longer for a writer says so.
BUSY_MS = 5_000
# Bytes of one value: `zeroblob(1e9)` is refused.
_LONGEST = 10_000_000
_READS = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_PRAGMA,
)


class LedgerDatabase(Database):
    """A database that is not immutable, since runs append to it, and that no connection can write.

    Datasette itself would open `file:PATH?mode=ro` with the path as it stands: a `?` or `%` in a
    folder's name would change what is opened, and a journal that a dead writer left behind would be
    an error.
    """

    def __init__(self, ds: Any, path: Path, repo: Path) -> None:
        super().__init__(ds, path=str(path), is_mutable=True)
        self._repo = repo
        self._opened: list[sqlite3.Connection] = []
        self._ended = False

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A connection for one of Datasette's threads. Raises LedgerUnusable where there is no
        ledger to read.
        """
        if write:
            raise sqlite3.OperationalError("a ledger is only read here")
        connection = open_reader(Path(self.path), BUSY_MS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.set_authorizer(_allow_reading)
        self._opened.append(connection)
        return connection

    def value_of_files(self, name: str, wanted: str) -> str:
        """A parameter of `query_params`, as the files are at this moment; '' where they are not at
        hand.
        """
        if name == "repo":
            return known_repo(self._repo, Path(self.path)) or ""
        return query_params(self._repo, Path(self.path), wanted).get(name, "")

    def interrupt_all(self) -> None:
        """Interrupts what runs and refuses what comes, so that the server can end."""
        self._ended = True
        for connection in self._opened:
            connection.interrupt()

    async def execute(self, sql: str, *args: Any, **options: Any) -> Any:
        """As Datasette does it, but bad SQL, which any link can contain, is not repeated on the
        terminal.
        """
        options["log_sql_errors"] = False
        return await super().execute(sql, *args, **options)

    async def execute_fn(self, fn: Callable[[sqlite3.Connection], Any]) -> Any:
        """Runs it in a thread; a writer that died since the file was opened is tidied up after."""
        if self._ended:
            raise sqlite3.OperationalError("the server ends")
        try:
            return await super().execute_fn(fn)
        except UnicodeDecodeError as error:
            if is_of_the_file(Path(self.path), error, BUSY_MS):
                raise explain_undecodable(Path(self.path), error) from error
            raise sqlite3.OperationalError(quote_undecodable(error)) from error
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A reader cannot roll a dead writer's journal back; opening the file once more does it.
        open_reader(Path(self.path), BUSY_MS).close()
        return await super().execute_fn(fn)


def _allow_reading(
    action: int, first: str | None, second: str | None, database: str | None, source: str | None
) -> int:
    """mode=ro protects this file, this all others; which PRAGMAs a visitor may ask, Datasette
    knows.
    """
    is_function = action == sqlite3.SQLITE_FUNCTION and second != "load_extension"
    if action in _READS or is_function:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
