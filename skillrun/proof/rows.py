"""The rows of a proof's database, read and written one by one: for copies, and for what somebody
else changes while the job runs.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.state import SqliteStore

_BUSY_S = 5.0  # for a lock that a process of the handler's still holds


@dataclass(frozen=True)
class Table:
    """One table as far as copying its rows goes."""

    name: str
    columns: tuple[str, ...]
    primary: tuple[str, ...]
    unique: frozenset[str]  # columns of the primary key and of unique indexes
    numbered: str | None = None  # the column that the database fills by itself


class Rows(Protocol):
    """A database whose rows can be copied."""

    def tables(self) -> list[Table]:
        """All of the application's."""

    def select(self, table: Table, column: str, value: Any) -> list[list[Any]]:
        """Rows whose column has a value; none where it cannot have it."""

    def insert(self, table: Table, values: Mapping[str, Any]) -> bool:
        """Whether the row could be added."""

    def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows that have the same columns, but for those that the table does not take."""

    def count(self, table: Table) -> int:
        """How many rows a table has."""

    def highest(self, table: Table, column: str) -> int:
        """The highest number in a column; 0 for none."""

    def read(self, table: Table, most: int) -> list[list[Any]]:
        """So many of its rows, in an order of their own."""

    def put(self, table: Table, where: Mapping[str, Any], column: str, value: Any) -> bool:
        """Whether a column of the row with these values could be set, and that was committed. False
        where somebody else holds the row.
        """

    def empty(self, table: Table) -> None:
        """Deletes all of its rows, and commits that. Does nothing where somebody else holds one."""

    def rules(self, table: str) -> list[str]:
        """The text of whatever says which values its columns may have."""


# A table of Django's cache, whatever it is called (`createcachetable`).
CACHE_COLUMNS = ("cache_key", "value", "expires")


def empty_caches(store: Any) -> None:
    """Deletes the rows of each cache that is a table: what it holds may be gone at any time."""
    with open_rows(store) as rows:
        if rows is None:
            return
        for table in rows.tables():
            if table.columns == CACHE_COLUMNS:
                rows.empty(table)


@contextlib.contextmanager
def open_rows(store: Any, busy_s: float = _BUSY_S) -> Iterator[Rows | None]:
    """None where there is no database whose rows can be read. `busy_s`: how long a lock of somebody
    else's is waited for, in SQLite.
    """
    if isinstance(store, SqliteStore):
        if not store.path.exists():
            yield None
            return
        with (
            contextlib.closing(sqlite3.connect(store.path, timeout=busy_s)) as connection,
            connection,
        ):
            yield _SqliteRows(connection)
        return
    if store is not None and hasattr(store, "parts"):
        # No trigger and no foreign key stands in the way, where the proof's user may say so: after
        # the setup it is no superuser any more. Then a row that they refuse is not written.
        with contextlib.suppress(ServiceFailed):
            store.query("SET session_replication_role = replica")
        try:
            yield _PostgresRows(store.query)
        finally:
            with contextlib.suppress(ServiceFailed):
                store.query("RESET session_replication_role")
        return
    yield None


class _SqliteRows:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def _fetch(self, sql: str, *values: Any) -> list[list[Any]]:
        return list(map(list, self.connection.execute(sql, values).fetchall()))

    def tables(self) -> list[Table]:
        sql = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        return [self._read_table(name) for (name,) in self._fetch(sql)]

    def _read_table(self, name: str) -> Table:
        types: dict[str, str] = {}
        places: dict[str, int] = {}  # in the primary key, from 1
        for _, column, kind, _, _, place in self._fetch(f"pragma table_info({_quote_name(name)})"):
            types[column] = str(kind).upper()
            if place:
                places[column] = place
        primary = tuple(sorted(places, key=places.__getitem__))
        unique = set(self._find_unique_columns(name))
        numbered = None
        if len(primary) == 1:
            unique.add(primary[0])
            # INTEGER PRIMARY KEY, and no other type, is SQLite's own rowid.
            if types[primary[0]] == "INTEGER":
                numbered = primary[0]
        return Table(name, tuple(types), primary, frozenset(unique), numbered)

    def _find_unique_columns(self, name: str) -> Iterator[str]:
        for _, index, is_unique, *_ in self._fetch(f"pragma index_list({_quote_name(name)})"):
            columns = self._fetch(f"pragma index_info({_quote_name(index)})")
            # Of an index over several columns each may repeat; of an expression there is no name.
            if is_unique and len(columns) == 1 and columns[0][2]:
                yield columns[0][2]

    def select(self, table: Table, column: str, value: Any) -> list[list[Any]]:
        names = ", ".join(map(_quote_name, table.columns))
        sql = f"select {names} from {_quote_name(table.name)} where {_quote_name(column)} = ?"
        try:
            return self._fetch(sql, value)
        except (sqlite3.Error, OverflowError):
            return []

    def insert(self, table: Table, values: Mapping[str, Any]) -> bool:
        names, marks = ", ".join(map(_quote_name, values)), ", ".join("?" * len(values))
        try:
            self.connection.execute(
                f"insert into {_quote_name(table.name)} ({names}) values ({marks})",
                tuple(values.values()),
            )
        except (sqlite3.Error, OverflowError):
            return False
        return True

    def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        names, marks = ", ".join(map(_quote_name, rows[0])), ", ".join("?" * len(rows[0]))
        sql = f"insert or ignore into {_quote_name(table.name)} ({names}) values ({marks})"
        with contextlib.suppress(sqlite3.Error, OverflowError):
            self.connection.executemany(sql, [tuple(row.values()) for row in rows])

    def count(self, table: Table) -> int:
        return int(self._fetch(f"select count(*) from {_quote_name(table.name)}")[0][0])

    def highest(self, table: Table, column: str) -> int:
        sql = f"select max({_quote_name(column)}) from {_quote_name(table.name)}"
        found = self.connection.execute(sql).fetchone()[0]
        if isinstance(found, int):
            return found
        return 0

    def read(self, table: Table, most: int) -> list[list[Any]]:
        names = ", ".join(map(_quote_name, table.columns))
        order = ", ".join(map(_quote_name, table.primary or table.columns))
        return self._fetch(
            f"select {names} from {_quote_name(table.name)} order by {order} limit {most}"
        )

    def put(self, table: Table, where: Mapping[str, Any], column: str, value: Any) -> bool:
        # "is": a column may be NULL.
        condition = " and ".join(f"{_quote_name(name)} is ?" for name in where)
        sql = f"update {_quote_name(table.name)} set {_quote_name(column)} = ? where {condition}"
        try:
            with self.connection:
                done = self.connection.execute(sql, (value, *where.values()))
        except (sqlite3.Error, OverflowError):
            return False
        return done.rowcount > 0

    def empty(self, table: Table) -> None:
        with contextlib.suppress(sqlite3.Error), self.connection:
            self.connection.execute(f"delete from {_quote_name(table.name)}")

    def rules(self, table: str) -> list[str]:
        asked = "select sql from sqlite_master where type = 'table' and name = ?"
        return [str(sql) for (sql,) in self._fetch(asked, table)]


_RULES = """
    select pg_get_constraintdef(c.oid) from pg_constraint c join pg_class t on t.oid = c.conrelid
    where c.contype = 'c' and t.relname = {table}
    union all
    select a.attname || ' IN (' || string_agg(quote_literal(e.enumlabel), ', ') || ')'
    from pg_enum e join pg_attribute a on a.atttypid = e.enumtypid
    join pg_class t on t.oid = a.attrelid where t.relname = {table} group by a.attname
"""
_COLUMNS = """
    select c.relname, a.attname, coalesce(a.attidentity <> '' or a.atthasdef, false),
           coalesce(bool_or(i.indisprimary), false), coalesce(bool_or(i.indisunique and i.indnatts = 1), false)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    left join pg_index i on i.indrelid = c.oid and a.attnum = any(i.indkey)
    where c.relkind = 'r' group by 1, 2, 3, a.attnum order by 1, a.attnum
"""


class _PostgresRows:
    def __init__(self, query: Callable[[str], Sequence[Sequence[Any]]]) -> None:
        self.query = query

    def tables(self) -> list[Table]:
        found: dict[str, list[Sequence[Any]]] = {}
        for row in self.query(_COLUMNS):
            found.setdefault(str(row[0]), []).append(row)
        return list(itertools.starmap(_make_table, found.items()))

    def _fetch(self, sql: str) -> list[list[Any]]:
        return [list(map(_show_value, row)) for row in self.query(sql)]

    def select(self, table: Table, column: str, value: Any) -> list[list[Any]]:
        # As text, so that a value that the column cannot have is no error; what comes back goes in
        # again as text.
        names = _list_as_text(table.columns)
        condition = f"{_quote_name(column)}::text = {_quote_value(value)}"
        return self._fetch(f"select {names} from {_quote_name(table.name)} where {condition}")

    def insert(self, table: Table, values: Mapping[str, Any]) -> bool:
        names, literals = (
            ", ".join(map(_quote_name, values)),
            ", ".join(map(_quote_value, values.values())),
        )
        try:
            self.query(f"insert into {_quote_name(table.name)} ({names}) values ({literals})")
        except ServiceFailed:
            return False
        return True

    def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        names = ", ".join(map(_quote_name, rows[0]))
        values = []
        for row in rows:
            values.append(f"({', '.join(map(_quote_value, row.values()))})")
        sql = f"insert into {_quote_name(table.name)} ({names}) values {', '.join(values)}"
        with contextlib.suppress(ServiceFailed):
            self.query(f"{sql} on conflict do nothing")

    def count(self, table: Table) -> int:
        return int(self.query(f"select count(*) from {_quote_name(table.name)}")[0][0])

    def highest(self, table: Table, column: str) -> int:
        found = self.query(f"select max({_quote_name(column)}) from {_quote_name(table.name)}")
        if found and isinstance(found[0][0], int):
            return found[0][0]
        return 0

    def read(self, table: Table, most: int) -> list[list[Any]]:
        # As text: JSON has no order.
        names = _list_as_text(table.columns)
        order = _list_as_text(table.primary or table.columns)
        return self._fetch(
            f"select {names} from {_quote_name(table.name)} order by {order} limit {most}"
        )

    def put(self, table: Table, where: Mapping[str, Any], column: str, value: Any) -> bool:
        conditions = [
            f"{_quote_name(name)}::text is not distinct from {_quote_value(was)}"
            for name, was in where.items()
        ]
        changed = f"{_quote_name(column)} = {_quote_value(value)}"
        condition = " and ".join(conditions)
        sql = f"update {_quote_name(table.name)} set {changed} where {condition} returning 1"
        try:
            self.query("set lock_timeout = '100ms'")
            return bool(self.query(sql))
        except ServiceFailed:
            return False
        finally:
            self.query("reset lock_timeout")

    def empty(self, table: Table) -> None:
        try:
            self.query("set lock_timeout = '100ms'")
            self.query(f"delete from {_quote_name(table.name)}")
        except ServiceFailed:
            return
        finally:
            self.query("reset lock_timeout")

    def rules(self, table: str) -> list[str]:
        return [str(row[0]) for row in self.query(_RULES.format(table=_quote_value(table)))]


def _list_as_text(columns: Iterable[str]) -> str:
    return ", ".join(f"{_quote_name(name)}::text" for name in columns)


def _make_table(name: str, rows: Iterable[Sequence[Any]]) -> Table:
    columns, primary = [], []
    unique, numbered = set(), set()
    for _, column, is_numbered, is_primary, is_unique in rows:
        columns.append(str(column))
        if is_numbered:
            numbered.add(str(column))
        if is_primary:
            primary.append(str(column))
        if is_unique:
            unique.add(str(column))
    number = None
    if len(primary) == 1:
        unique.add(primary[0])
        number = primary[0] if primary[0] in numbered else None
    return Table(name, tuple(columns), tuple(primary), frozenset(unique), number)


def _show_value(value: Any) -> str | None:
    if value is None:
        return None
    return str(value)


def _quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quote_value(value: Any) -> str:
    if value is None:
        return "null"
    return "'" + str(value).replace("'", "''") + "'"
