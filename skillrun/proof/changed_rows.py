"""Stores that hold other rows than the examples' setup makes: many more of each, those that a
thousand other jobs have left, and other values in what the job sends.

Two commits that do the same with the example need not do the same with these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skillrun.proof.clones import holds_field, must_differ, write_other_digits
from skillrun.proof.rivals import Contents
from skillrun.proof.rows import Rows, Table, open_rows
from skillrun.proof.worlds import CENTS, DONE, FOREIGN, GIVEN_UP, LONGER, MANY, World

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Of one table: each is copied, so that no sort of row is left out.
_ROWS_COPIED = 3
# Each costs a few schedules of both sides.
_MOST_WORLDS = 15
_KINDS_OF_TEXT, _KINDS_OF_NUMBER = (FOREIGN, LONGER), (CENTS,)
# int(1931 / 100 * 100) is 1930, and so is int(1931 * 0.01 * 100): who counts money in floats and
# cuts them loses a cent of it. Nor is it a multiple of a small number of seats, items or
# instalments.
ODD_CENTS = 1931
# Behind the numbers that a store has by itself.
_ABOVE = 1_000_000
_DATE = re.compile(r"\d{4}-\d\d(?:-\d\d.*)?")  # `2026-03`, `2026-03-01 12:00:00`
_HEXADECIMAL = re.compile(r"[0-9a-f-]{16,}", re.IGNORECASE)
_AMOUNT = re.compile(r"\d+(?:\.\d+)?")  # `48550`, `485.50`
# Of a migration tool; more of them are no more work.
_MIGRATIONS = re.compile(r"migrat|alembic", re.IGNORECASE)
# A word of a list that the code knows; `name` and `geometry` are none.
_OF_FEW_WORDS = re.compile(
    r"status|state|kind|type|mode|role|currency|country|locale|lang|zone", re.IGNORECASE
)
# `7` or `de` occurs in what is sent by chance.
_LEAST_TOLD = 3


def list_worlds(store: Any, spec: JobSpec, sent: str, read: Iterable[str]) -> list[World]:
    """The worlds that may matter to a job of which it is known what it `sent` with the example's
    rows, and which tables it has `read`.
    """
    with open_rows(store) as rows:
        if rows is None:
            return []
        found = [World(MANY), World(DONE), World(GIVEN_UP)]
        given = set(map(str, _list_values(spec.examples[:1])))
        tables = set(read)
        told, others = list[_Cell](), list[_Cell]()
        for cell in _list_cells(rows):
            table, _, value = cell
            if str(value) in given:
                continue
            if _is_told(*cell, sent):
                told.append(cell)
            # What goes out as a file, or as a digest, is not recognised.
            elif table.name.lower() in tables and _is_free_text(rows, *cell):
                others.append(cell)
        for table, column, value in [*told, *others]:
            kinds = _KINDS_OF_NUMBER if _AMOUNT.fullmatch(str(value)) else _KINDS_OF_TEXT
            found += [World(kind, table.name, column) for kind in kinds]
    return list(dict.fromkeys(found))[:_MOST_WORLDS]


def _list_values(value: Any) -> Iterator[Any]:
    """The plain values in a payload, however deep."""
    if isinstance(value, Mapping):
        for member in value.values():
            yield from _list_values(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _list_values(member)
    else:
        yield value


_Cell = tuple[Table, str, Any]
"""(table, column, value)."""


def _list_cells(rows: Rows) -> Iterator[_Cell]:
    """Those of the first rows of each table, a column once."""
    for table in _list_tables(rows):
        seen = set[str]()
        for values in rows.read(table, _ROWS_COPIED):
            for column, value in zip(table.columns, values, strict=True):
                if column not in seen:
                    seen.add(column)
                    yield table, column, value


def _list_tables(rows: Rows) -> list[Table]:
    return [table for table in rows.tables() if not _MIGRATIONS.search(table.name)]


def _is_told(table: Table, column: str, value: Any, sent: str) -> bool:
    """Whether a value goes out with an effect, and another one may stand in its place."""
    if column in table.unique or column in table.primary or isinstance(value, bool):
        return False
    text = str(value)
    if value is None or len(text) < _LEAST_TOLD or text not in sent:
        return False
    return not _DATE.fullmatch(text) and not _HEXADECIMAL.fullmatch(text)


def _is_free_text(rows: Rows, table: Table, column: str, value: Any) -> bool:
    """Whether a value is a text that somebody chose, and none of a few words."""
    if column in table.unique or column in table.primary or not isinstance(value, str):
        return False
    if not value[:1].isalpha() or _OF_FEW_WORDS.search(column):
        return False
    if _HEXADECIMAL.fullmatch(value):
        return False
    return not any(f"'{value}'" in rule for rule in rows.rules(table.name))


def change_rows(store: Any, spec: JobSpec, world: World, left: Mapping[str, Contents]) -> None:
    """Makes the world. `left`: kind of world -> rows that a job leaves, which the store does not
    have.
    """
    with open_rows(store) as rows:
        if rows is None:
            return
        tables = {table.name: table for table in _list_tables(rows)}
        found: dict[str, list[dict[str, Any]]] = {}
        fields: tuple[str, ...] = ()
        if world.kind == MANY:
            for name, table in tables.items():
                found[name] = list(_read_rows(rows, table))
        else:
            for name, some in left.get(world.kind, {}).items():
                found[name] = list(some.values())[:_ROWS_COPIED]
            fields = spec.idempotency.key if spec.idempotency else ()
        if world.table in tables:
            _change_column(rows, tables[world.table], world)
            return
        for name in found.keys() & tables.keys():
            _copy_rows(rows, tables[name], found[name], fields, world.rows)


def _read_rows(rows: Rows, table: Table) -> Iterator[dict[str, Any]]:
    for row in rows.read(table, _ROWS_COPIED):
        yield dict(zip(table.columns, row, strict=True))


def find_left(before: Contents, after: Contents, *, with_changed: bool = False) -> Contents:
    """The rows that are there after a job, and were not before it; `with_changed`: or stood there
    otherwise.
    """
    found: Contents = {}
    for table, rows in after.items():
        known = before.get(table, {})
        for key, row in rows.items():
            is_changed = with_changed and known.get(key) != row
            if key not in known or is_changed:
                found.setdefault(table, {})[key] = row
    return found


# -- more rows


def _copy_rows(
    rows: Rows,
    table: Table,
    found: Sequence[Mapping[str, Any]],
    fields: Sequence[str],
    most: int,
) -> None:
    """Adds so many at `most`. `fields`: of the payload, whose columns say of which job a row is."""
    for row in found:
        fresh = set[str]()
        for name in table.columns:
            is_of_job = any(holds_field(table, name, field) for field in fields)
            if name != table.numbered and (must_differ(table, name, row[name]) or is_of_job):
                fresh.add(name)
        had = rows.count(table)
        # Of an index over several columns nobody has told which one differs: the last that helps.
        for more in ((), *((name,) for name in reversed(table.columns))):
            _insert_copies(rows, table, row, {*fresh, *more}, most // len(found))
            if rows.count(table) > had:
                break


def _insert_copies(
    rows: Rows, table: Table, row: Mapping[str, Any], fresh: set[str], most: int
) -> None:
    highest = {name: rows.highest(table, name) + _ABOVE for name in fresh}
    copies = []
    for number in range(1, most + 1):
        copy = dict(row)
        if table.numbered is not None:
            del copy[table.numbered]
        for name in fresh & copy.keys():
            copy[name] = _make_other(row[name], number, highest[name])
        copies.append(copy)
    rows.insert_many(table, copies)


def _make_other(value: Any, number: int, highest: int) -> Any:
    """Another value of the same kind for each number."""
    if value is None or isinstance(value, bool | bytes):
        return value
    text = str(value)
    if text.isdigit():
        return type(value)(highest + number)
    if _HEXADECIMAL.fullmatch(text):
        return write_other_digits(text, number)
    return f"{text}-{number}"


# -- another value


def _change_column(rows: Rows, table: Table, world: World) -> None:
    for row in _read_rows(rows, table):
        where = {name: row[name] for name in table.primary or table.columns}
        value = row[world.column]
        if value is not None:
            rows.put(table, where, world.column, _make_value(world.kind, value))


def _make_value(kind: str, value: Any) -> Any:
    text = str(value)
    if kind == CENTS:
        has_point = "." in text
        return type(value)(ODD_CENTS / 100 if has_point else ODD_CENTS)
    local, mark, domain = text.partition("@")
    if kind == LONGER:
        # By letters and digits that it has already, so that a form it must have may still hold.
        return f"{local}{local[-6:] * 2}{mark}{domain}"
    if mark:
        return f"{local}Łé{mark}{domain}"
    # As people write names: who puts one into a list, or into an address, has two of it.
    return f"{local}, Łé"
