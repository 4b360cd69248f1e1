"""Rows that a varied payload works on: those of the first example, with the payload's own value in
the key's column.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from skillrun.proof.jobs import get_field
from skillrun.proof.state import SqliteStore
from skillrun.proof.varied import varied_field

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

_MOST_ROWS = 20  # of one table for one payload
_BUSY_S = 5.0  # for a lock that a process of the handler's still holds
# What such a column holds names one row and no other, whether or not the schema says so.
_UNIQUE_WORDS = "uuid|guid|token|key|hash|digest|slug|ref|reference|external|number|code|sku"
_UNIQUE_NAME = re.compile(rf"(?:^|_)(?:{_UNIQUE_WORDS})(?:_|$)")
_UNIQUE_TEXT = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[0-9a-f]{16,}", re.I
)


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

    def highest(self, table: Table, column: str) -> int:
        """The highest number in a column; 0 for none."""


def clone_rows(
    store: Any, spec: JobSpec, payloads: Mapping[int, Any]
) -> dict[int, tuple[str, ...]]:
    """Job -> the values that its rows have from the example's. No entry: the example has no rows by
    that field.
    """
    first = spec.examples[0] if spec.examples else None
    found: dict[int, tuple[str, ...]] = {}
    with _open_rows(store) as rows:
        if rows is None:
            return found
        tables = rows.tables()
        for job, payload in payloads.items():
            field = varied_field(spec, payload)
            if field is None:
                continue
            old, new = get_field(first, field), get_field(payload, field)
            copied = dict.fromkeys(_clone_example(rows, tables, field, old, new))
            if copied:
                found[job] = tuple(copied)
    return found


def _clone_example(
    rows: Rows, tables: list[Table], field: str, old: Any, new: Any
) -> Iterator[str]:
    for table in tables:
        for column in table.columns:
            if not _holds_field(table, column, field):
                continue
            for row in rows.select(table, column, old)[:_MOST_ROWS]:
                values = dict(zip(table.columns, row, strict=True))
                yield from _copy_row(rows, table, values, column, new)


def _holds_field(table: Table, column: str, field: str) -> bool:
    """Whether a column may hold what a field names: `order_id` is `order_id` anywhere, and `id` in
    `orders`.
    """
    parts = field.lower().replace("_", "").split(".")
    last, name = parts[-1], column.lower().replace("_", "")
    stem = last.removesuffix("id") or last
    if name in (last, f"{stem}id"):
        return True
    if table.primary != (column,):
        return False
    # `order.id`, and `shop_orders` as Django names it.
    parent = parts[-2] if len(parts) > 1 else stem
    mine = table.name.lower().rpartition("_")[2]
    return stem in mine or parent in mine or mine.rstrip("s") in stem


def _copy_row(
    rows: Rows, table: Table, row: dict[str, Any], column: str, new: Any
) -> Iterator[str]:
    """Adds one row; gives what it has in common with the one that it is a copy of."""
    made = {**row, column: new}
    if table.numbered is not None and table.numbered != column:
        del made[table.numbered]
    others = [name for name in made if name != column]
    fresh = {name for name in others if _must_differ(table, name, made[name])}
    for name in fresh:
        made[name] = _make_fresh(rows, table, name, row[name], new)
    if not rows.insert(table, made):
        return
    for name in others:
        if name not in fresh and made[name] not in (None, ""):
            yield str(made[name])
    yield ""  # it was copied, whatever it holds


def _must_differ(table: Table, name: str, value: Any) -> bool:
    """Whether two rows cannot have the same value, or would be taken for one by it."""
    if value is None:
        return False
    if name in table.unique:
        return True
    if not isinstance(value, str):
        return False
    is_named_so = _UNIQUE_NAME.search(name.lower()) is not None
    return is_named_so or _UNIQUE_TEXT.fullmatch(value) is not None


def _make_fresh(rows: Rows, table: Table, name: str, value: Any, new: Any) -> Any:
    """Another value of the same kind: of a text that looks like a number in base 16, another such
    number.
    """
    text = str(value)
    if text.isdigit():  # also where a database gives its numbers as texts
        return rows.highest(table, name) + 1
    if _UNIQUE_TEXT.fullmatch(text):
        import hashlib

        digits = iter(hashlib.sha256(f"{text}{new}".encode()).hexdigest() * 4)
        return "".join(letter if letter == "-" else next(digits) for letter in text)
    return f"{text}-{new}"


# -- the databases


@contextlib.contextmanager
def _open_rows(store: Any) -> Iterator[Rows | None]:
    if isinstance(store, SqliteStore):
        if not store.path.exists():
            yield None
            return
        with (
            contextlib.closing(sqlite3.connect(store.path, timeout=_BUSY_S)) as connection,
            connection,
        ):
            yield _SqliteRows(connection)
        return
    if store is not None and hasattr(store, "parts"):
        # No trigger and no foreign key stands in the way.
        store.query("SET session_replication_role = replica")
        try:
            yield _PostgresRows(store.query)
        finally:
            store.query("RESET session_replication_role")
        return
    yield None


class _SqliteRows:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def tables(self) -> list[Table]:
        sql = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        return [self._read_table(name) for (name,) in self.connection.execute(sql).fetchall()]

    def _read_table(self, name: str) -> Table:
        info = self.connection.execute(f"pragma table_info({_quote_name(name)})").fetchall()
        primary = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
        unique = set(self._find_unique_columns(name))
        numbered = None
        if len(primary) == 1:
            unique.add(primary[0])
            # INTEGER PRIMARY KEY, and no other type, is SQLite's own rowid.
            types = {row[1]: str(row[2]).upper() for row in info}
            if types[primary[0]] == "INTEGER":
                numbered = primary[0]
        return Table(name, tuple(row[1] for row in info), primary, frozenset(unique), numbered)

    def _find_unique_columns(self, name: str) -> Iterator[str]:
        for index in self.connection.execute(f"pragma index_list({_quote_name(name)})").fetchall():
            name_of_index, is_unique = index[1], index[2]
            if not is_unique:
                continue
            sql = f"pragma index_info({_quote_name(name_of_index)})"
            columns = [row[2] for row in self.connection.execute(sql).fetchall()]
            # Of an index over several columns each may repeat; of an expression there is no name.
            if len(columns) == 1 and columns[0]:
                yield columns[0]

    def select(self, table: Table, column: str, value: Any) -> list[list[Any]]:
        names = ", ".join(map(_quote_name, table.columns))
        sql = f"select {names} from {_quote_name(table.name)} where {_quote_name(column)} = ?"
        try:
            return [list(row) for row in self.connection.execute(sql, (value,)).fetchall()]
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

    def highest(self, table: Table, column: str) -> int:
        sql = f"select max({_quote_name(column)}) from {_quote_name(table.name)}"
        found = self.connection.execute(sql).fetchone()[0]
        return found if isinstance(found, int) else 0


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
        return [_make_table(name, rows) for name, rows in found.items()]

    def select(self, table: Table, column: str, value: Any) -> list[list[Any]]:
        # As text, so that a value that the column cannot have is no error; what comes back goes in
        # again as text.
        names = ", ".join(f"{_quote_name(name)}::text" for name in table.columns)
        condition = f"{_quote_name(column)}::text = {_quote_value(value)}"
        rows = self.query(f"select {names} from {_quote_name(table.name)} where {condition}")
        return [[_show_value(value) for value in row] for row in rows]

    def insert(self, table: Table, values: Mapping[str, Any]) -> bool:
        names, literals = (
            ", ".join(map(_quote_name, values)),
            ", ".join(map(_quote_value, values.values())),
        )
        from skillrun.proof.services.errors import ServiceFailed

        try:
            self.query(f"insert into {_quote_name(table.name)} ({names}) values ({literals})")
        except ServiceFailed:
            return False
        return True

    def highest(self, table: Table, column: str) -> int:
        found = self.query(f"select max({_quote_name(column)}) from {_quote_name(table.name)}")
        return found[0][0] if found and isinstance(found[0][0], int) else 0


def _make_table(name: str, rows: Iterable[Sequence[Any]]) -> Table:
    held = list(rows)
    primary = tuple(str(row[1]) for row in held if row[3])
    unique = frozenset(str(row[1]) for row in held if row[4] or primary == (row[1],))
    numbered = next((str(row[1]) for row in held if row[2] and primary == (row[1],)), None)
    return Table(name, tuple(str(row[1]) for row in held), primary, unique, numbered)


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
