"""Rivals: what somebody else may commit to the rows of a job while it runs.

Two kinds. A *decision* gives the column in which the job notes that it is done another of its
values, as the application's own functions do ("cancelled"), and only while it still has the value
that the job found. A *change* gives every other column of such a row another value, which no job
that means to note its own end may take back.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from skillrun.proof.rows import Rows, Table, open_rows
from skillrun.proof.services.errors import ServiceFailed

_MOST_ROWS = 200  # of one table: a proof's database is small
_MOST_TABLES = 60
# Who holds the row for longer keeps a rival out until it has committed.
_BUSY_S = 0.05
_VERSIONS = ("version", "rev", "revision", "lock_version", "row_version", "generation", "etag")
_TIMES = ("updated", "modified", "changed")
_WORD = re.compile(r"[A-Za-z][\w -]{0,30}")

Values = Mapping[str, Any]
"""Column -> value."""

Contents = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Table -> primary key, or its number where there is none -> row."""


@dataclass(frozen=True)
class ChangedRow:
    """A row that the job changes when nothing else happens."""

    table: Table
    before: Values
    after: Values

    @property
    def where(self) -> dict[str, Any]:
        """What names it."""
        return {name: self.before[name] for name in self.table.primary}

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(name for name in self.before if self.before[name] != self.after[name])

    @property
    def untouched(self) -> tuple[str, ...]:
        """Columns that end as they were, and that a rival can give another value."""
        names = [name for name in self.before if name not in self.changed]
        own = (*self.table.primary, *self.table.unique)
        free = [name for name in names if name not in own and not names_a_row(name)]
        return tuple(name for name in free if self.before[name] is not None)

    @property
    def decided(self) -> list[str]:
        """Columns that say in a word where the job stands."""
        found: list[str] = []
        for name in self.changed:
            both = (self.before[name], self.after[name])
            if all(map(is_word, both)) and name not in self.versions:
                found.append(name)
        return found

    @property
    def versions(self) -> dict[str, Any]:
        """What every writer of the row moves on, so that others notice: column -> next value."""
        found: dict[str, Any] = {}
        for name in self.changed:
            word = name.lower()
            if word in _VERSIONS or word.startswith(_TIMES):
                found[name] = self.after[name]
        return found


def is_word(value: Any) -> bool:
    """Whether a value may be one of a kind that code has names for."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def names_a_row(column: str) -> bool:
    """Another value there would be a row that does not exist, which nobody writes."""
    return column.lower().endswith("_id")


@dataclass(frozen=True)
class Rival:
    """`text` names it in a schedule: "orders.status:void" is a decision, "orders.*" a change."""

    text: str
    row: ChangedRow
    column: str | None = None  # of a decision
    value: Any = None
    # The job itself gives the column this value, too; or no code of the repository does.
    is_minor: bool = False
    # Some way leads to it on which nobody asks what the job has done: it comes after the job as
    # well.
    comes_later: bool = False
    # Of a change: columns to which no code but the job's own gives a row another value.
    unwritten: frozenset[str] = frozenset()
    # Of a change: how the row ends where it comes first and the job afterwards; empty: not known.
    end_after: Values = field(default_factory=dict)

    @property
    def is_decision(self) -> bool:
        return self.column is not None


@dataclass(frozen=True)
class Rivalry:
    """What a rival did in one schedule, and what became of it.

    `landed`: the number of the last event before it was committed; None: it was kept out.
    `written`: column -> what it wrote; `final`: column -> what stood there at the end.
    """

    rival: Rival
    landed: int | None
    written: Values
    final: Values
    left_more: bool = False  # a table has more rows at the end than after a single run

    @property
    def overwritten(self) -> list[str]:
        """Columns in which the job put back what it had read, or put its own end. What it writes
        whatever it reads is there in either order: nothing depends on who comes first.
        """
        lost: list[str] = []
        for name, value in self.written.items():
            mine = (self.rival.row.before[name], self.rival.row.after[name])
            final = self.final.get(name)
            in_either_order = name in self.rival.end_after and self.rival.end_after[name] == final
            if final != value and final in mine and not in_either_order:
                lost.append(name)
        return lost

    def is_of_nobody(self, columns: Iterable[str]) -> bool:
        """Whether no code but the job's own writes any of these columns."""
        return self.rival.unwritten.issuperset(columns)


def read_contents(store: Any) -> Contents:
    """The rows of all tables, so many of each. Empty without a database."""
    found: Contents = {}
    with open_rows(store) as rows:
        if rows is None:
            return found
        for table in rows.tables()[:_MOST_TABLES]:
            # One that cannot be read, say for want of a module, is no row of the job.
            with contextlib.suppress(sqlite3.Error, ServiceFailed):
                found[table.name] = _read_table(rows, table)
    return found


def _read_table(rows: Rows, table: Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, values in enumerate(rows.read(table, _MOST_ROWS)):
        row = dict(zip(table.columns, values, strict=True))
        key = tuple(row[name] for name in table.primary)
        found[key or (number,)] = row
    return found


def find_changed_rows(store: Any, before: Contents, after: Contents) -> list[ChangedRow]:
    """Rows that are there before and after, and differ."""
    with open_rows(store) as rows:
        tables = {table.name: table for table in rows.tables()} if rows else {}
    found: list[ChangedRow] = []
    for name, old in before.items():
        table, new = tables.get(name), after.get(name, {})
        if table is None or not table.primary:
            continue  # the job drops it; or its rows have no names
        for key, row in old.items():
            if key in new and new[key] != row:
                found.append(ChangedRow(table, row, new[key]))
    return found


def name_change(row: ChangedRow, unwritten: Iterable[str] = ()) -> Rival:
    """The rival that changes all that the job leaves alone."""
    return Rival(f"{row.table.name}.*", row, unwritten=frozenset(unwritten))


def name_decision(
    row: ChangedRow, column: str, value: Any, *, is_minor: bool = False, comes_later: bool = False
) -> Rival:
    """The rival that decides otherwise."""
    text = f"{row.table.name}.{column}:{quote(str(value), safe='')}"
    return Rival(text, row, column, value, is_minor, comes_later)


def commit_rival(store: Any, rival: Rival) -> dict[str, Any]:
    """Column -> what was written; nothing where somebody holds the row, or it is not as it was."""
    with open_rows(store, _BUSY_S) as rows:
        if rows is None:
            return {}
        written = dict(_write(rows, rival))
        if written:
            for name, value in rival.row.versions.items():
                if name != rival.column:
                    rows.put(rival.row.table, rival.row.where, name, value)
        return written


def _write(rows: Rows, rival: Rival) -> Iterator[tuple[str, Any]]:
    row = rival.row
    if rival.column is not None:
        # As the application does it: what is no longer as it was is not decided any more.
        where = {**row.where, rival.column: row.before[rival.column]}
        if rows.put(row.table, where, rival.column, rival.value):
            yield rival.column, rival.value
        return
    for name in row.untouched:
        value = make_other(row.before[name])
        if value is not None and rows.put(row.table, row.where, name, value):
            yield name, value


def make_other(value: Any) -> Any:
    """Another value of the same kind; None where there is none that is sure to be one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        if value in (0, 1):
            return 1 - value
        return value + 1
    if isinstance(value, float):
        return value + 1.0
    if isinstance(value, str):
        if value.isdigit():
            return str(int(value) + 1)
        return f"{value}~"
    return None


def read_final(store: Any, rival: Rival) -> dict[str, Any]:
    """The row as it stands; empty where it is gone."""
    contents = read_contents(store).get(rival.row.table.name, {})
    return contents.get(tuple(rival.row.where.values()), {})
