"""The state queries of a spec: what the world looks like at the end of a schedule."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from skillrun.proof.store_watch import Contents

_QUERY_S = 10.0  # a query that takes longer is interrupted


class Store(Protocol):
    """A database that can be asked."""

    name: str

    def query(self, sql: str) -> list[list[Any]]:
        """All rows. Raises StateError."""

    def tables_read(self, sql: str) -> set[str]:
        """The tables that a query reads, lower case."""

    def contents(self) -> Contents:
        """What it holds as a whole."""


class StateError(Exception):
    """A query that cannot be answered; the words are for a person."""


class SqliteStore:
    """A SQLite file. A rollback journal that a killed process left is played back by opening it."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def query(self, sql: str) -> list[list[Any]]:
        def read_rows(connection: sqlite3.Connection) -> list[list[Any]]:
            rows = []
            for row in connection.execute(sql):
                rows.append([_plain(value) for value in row])
            return rows

        read: list[list[Any]] = self._ask(read_rows)
        return read

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

    def contents(self) -> Contents:
        """Tables and what defines them. Empty where there is no file yet. Raises StateError."""
        if not self.path.exists():
            return Contents()
        found: Contents = self._ask(_read_contents)
        return found


def _read_contents(connection: sqlite3.Connection) -> Contents:
    shadows = _find_shadows(connection)
    found = connection.execute(
        "select type, name, tbl_name, sql from sqlite_master where substr(name, 1, 7) <> 'sqlite_'"
    ).fetchall()
    tables: dict[str, str] = {}
    definitions: dict[tuple[str, str, str], str] = {}
    for kind, name, table, sql in found:
        # The tables in which a virtual one keeps its rows change as these do.
        if table.lower() in shadows:
            continue
        definitions[kind, name.lower(), table.lower()] = str(sql)
        if kind == "table":
            tables[name.lower()] = _digest_rows(connection, name)
    return Contents(tables, definitions)


def _find_shadows(connection: sqlite3.Connection) -> set[str]:
    """The tables in which virtual ones keep their rows. SQLite tells them from 3.37 on."""
    asked = "select lower(name) from pragma_table_list where type = 'shadow'"
    try:
        return {row[0] for row in connection.execute(asked)}
    except sqlite3.OperationalError:
        return set()


def _digest_rows(connection: sqlite3.Connection, table: str) -> str:
    """In whatever order the rows lie. "" where the module of a virtual table is not here."""
    quoted = table.replace('"', '""')
    try:
        rows = sorted(map(repr, connection.execute(f'select * from "{quoted}"')))
    except sqlite3.OperationalError as error:
        if "no such module" in str(error):
            return ""
        raise
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def words(sql: str) -> set[str]:
    """Every word of a query, lower case."""
    return {word.lower() for word in re.findall(r"\w+", sql)}


def read_states(
    store: Store | None, asked: Sequence[Mapping[str, str]], *, has_deleted: bool
) -> list[dict[str, Any]]:
    """What `read_state` says of several sets of queries. `has_deleted`: rows may be gone that were
    there, so that not each gap in a sequence's numbers is one of an undone transaction. Where a
    number stands for another one then, and elsewhere for itself, all are shown as they are.
    """
    shown = [read_state(store, queries) for queries in asked]
    if not has_deleted:
        return shown
    raw = [read_state(store, queries, as_drawn=True) for queries in asked]
    kept, given = set[str](), set[str]()
    for rows, others in zip(raw, shown, strict=True):
        for value, other in zip(_list_cells(rows), _list_cells(others), strict=False):
            if value != other:
                given.add(str(other))
            else:
                kept.update(re.findall(r"\d+", str(value)))
    return raw if given & kept else shown


def _list_cells(answers: Mapping[str, Any]) -> Iterator[Any]:
    """Yields each value of each row of all answers."""
    for rows in answers.values():
        if not isinstance(rows, str):
            yield from itertools.chain.from_iterable(rows)


def read_state(
    store: Store | None, queries: Mapping[str, str], *, as_drawn: bool = False
) -> dict[str, Any]:
    """Query name -> rows; an error is a text that begins with "error: ". `as_drawn`: with the
    numbers that a sequence gave, gaps and all.
    """
    if store is None:
        return {}
    found: dict[str, Any] = {}
    # Only a server leaves gaps in its numbers: SQLite takes them back with the transaction.
    query = store.query
    if not as_drawn:
        query = getattr(store, "query_without_gaps", store.query)
    for name, sql in queries.items():
        try:
            found[name] = query(sql)
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
    if isinstance(value, bytes):
        return value.hex()
    return value
