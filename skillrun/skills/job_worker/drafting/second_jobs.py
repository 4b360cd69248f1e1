"""Further jobs beside the one that the tests show: its message with another name of its work, and
copies of the rows that it works on.

A job alone shows no key, lock or id that all jobs share. A copy has everything in common with the
example but its own name, so that whatever else a key is made of is the same for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from skillrun.proof import rows as proof_rows
from skillrun.proof.clones import change_copy, holds_field
from skillrun.proof.fixtures.seen import Table, is_unsaid
from skillrun.proof.jobs import other_values

_MOST_ROWS = 20  # of one table for one job
_MOST_TRIES = 20  # values that some row has already
# One more piece of work of the same thing: its next version, its next day.
_PART = re.compile(r"(?:^|_)(?:version|revision|day|date|week|month|quarter|year|period)$")
_NAME = re.compile(r"(?:^|_)(?:id|uuid|guid|key|number|pk|code|ref|reference|slug)$", re.IGNORECASE)
# These name a message, and no piece of work.
_OF_MESSAGE = re.compile(r"(?:^|_)(?:request|correlation|trace|span|task|message|event|run)_?id$")


@dataclass(frozen=True)
class SecondJob:
    """A message that differs from the example in some fields, and the rows that it works on."""

    payload: Mapping[str, Any]
    fields: tuple[str, ...]
    # Nobody has said that such a message is another job; see `classify.keep_second_jobs`.
    is_doubtful: bool
    statements: tuple[str, ...] = ()


def find_second_jobs(
    payload: Mapping[str, Any], tables: Mapping[str, Table]
) -> tuple[SecondJob, ...]:
    """Jobs beside the example, those first of which it is sure that they are others."""
    found: list[SecondJob] = []
    made: list[dict[str, Any]] = []
    for fields, is_doubtful in _choose_fields(payload, _list_tables(tables)):
        rows = _SeenRows(tables)
        known, values = dict[str, Any](), dict[str, Any]()
        for name in fields:
            known[name] = payload[name]
            values[name] = _choose_value(rows, name, payload[name])
        other = {**payload, **values}
        if None in values.values() or other in made:
            continue
        made.append(other)
        _copy_rows(rows, known, values)
        found.append(SecondJob(other, fields, is_doubtful, tuple(rows.statements)))
    return tuple(found)


def _choose_fields(
    payload: Mapping[str, Any], tables: Iterable[proof_rows.Table]
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """(the fields in which a job is another one, whether that is doubtful)."""
    varied: list[str] = []
    parts: list[str] = []
    names: list[str] = []
    for name, value in payload.items():
        if not _can_vary(value):
            continue
        varied.append(name)
        if _PART.search(name):
            parts.append(name)
        elif _NAME.search(name) and not _OF_MESSAGE.search(name):
            names.append(name)
    together = _find_row_names(varied, tables)
    whole = tuple(dict.fromkeys((*names, *together))) or tuple(varied)
    if whole:
        yield whole, False
    for name in together:
        yield (name,), False
    for name in parts:
        if name not in together:
            yield (name,), True


def _can_vary(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


def _find_row_names(fields: list[str], tables: Iterable[proof_rows.Table]) -> tuple[str, ...]:
    """The fields that name a row together: each of them tells it from another one."""
    for table in tables:
        held: list[str] = []
        for column in table.primary:
            field = next(filter(partial(holds_field, table, column), fields), None)
            if field is not None:
                held.append(field)
        if len(held) > 1 and len(held) == len(table.primary):
            return tuple(held)
    return ()


def _choose_value(rows: _SeenRows, field: str, value: Any) -> Any:
    """One that no row has yet; None where there is none."""
    taken = rows.list_values(field)
    for _ in range(_MOST_TRIES):
        value = next(iter(other_values(value)), None)
        if value is None or value not in taken:
            return value
    return None


def _copy_rows(rows: _SeenRows, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Each row that holds one of the old values, with the new ones in its place. A row that holds
    another value of such a field is some other job's.
    """
    for table in rows.tables():
        held = {}
        for column in table.columns:
            for field in old:
                if column not in held and holds_field(table, column, field):
                    held[column] = field
        for row in rows.read(table):
            changes = {}
            for column, field in held.items():
                if row[column] == old[field]:
                    changes[column] = new[field]
            if changes and changes.keys() == held.keys():
                made, _ = change_copy(rows, table, row, changes)
                rows.insert(table, made)


class _SeenRows:
    """The rows that a test began with; what is added is SQL."""

    def __init__(self, seen: Mapping[str, Table]) -> None:
        self.seen = seen
        self.statements: list[str] = []
        self._numbers: dict[tuple[str, str], int] = {}

    def tables(self) -> list[proof_rows.Table]:
        return _list_tables(self.seen)

    def read(self, table: proof_rows.Table) -> list[dict[str, Any]]:
        rows = []
        for row in self.seen[table.name].rows[:_MOST_ROWS]:
            if not any(map(is_unsaid, row)):
                rows.append(dict(zip(table.columns, row, strict=True)))
        return rows

    def list_values(self, field: str) -> list[Any]:
        found: list[Any] = []
        for table in self.tables():
            for column in table.columns:
                if holds_field(table, column, field):
                    found += self._read_column(table, column)
        return found

    def _read_column(self, table: proof_rows.Table, column: str) -> list[Any]:
        return list(map(itemgetter(table.columns.index(column)), self.seen[table.name].rows))

    def highest(self, table: proof_rows.Table, column: str) -> int:
        number = self._numbers.get((table.name, column), 0)
        for value in self._read_column(table, column):
            if isinstance(value, int):
                number = max(number, value)
        self._numbers[table.name, column] = number + 1
        return number

    def insert(self, table: proof_rows.Table, row: Mapping[str, Any]) -> None:
        """A row that the database refuses is left out: the job has to do without it."""
        names = ", ".join(map(_quote_name, row))
        values = ", ".join(map(_quote_value, row.values()))
        into = f"{_quote_name(table.name)} ({names})"
        self.statements.append(f"INSERT OR IGNORE INTO {into} VALUES ({values});")


def _list_tables(seen: Mapping[str, Table]) -> list[proof_rows.Table]:
    found = []
    for name, table in seen.items():
        columns: list[str] = []
        primary: list[str] = []
        types = {}
        for column, kind, is_key in table.columns:
            columns.append(column)
            types[column] = kind.upper()
            if is_key:
                primary.append(column)
        unique = set(table.unique)
        numbered = None
        if len(primary) == 1:
            unique.add(primary[0])
            # INTEGER PRIMARY KEY, and no other type, is SQLite's own rowid.
            numbered = primary[0] if types[primary[0]] == "INTEGER" else None
        keys = frozenset(unique)
        found.append(proof_rows.Table(name, tuple(columns), tuple(primary), keys, numbered))
    return found


def _quote_name(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _quote_value(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("'", "''").replace("\0", "")
    return f"'{escaped}'"
