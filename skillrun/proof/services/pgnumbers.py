"""Numbers that a PostgreSQL database gives to its rows, as two states of it are compared.

A transaction that is undone has drawn a number, and leaves a gap: which number the next row gets
says nothing of what was done. So a row that got its number since the snapshot is shown with the one
that it would have without gaps, by its place among such rows, and so is what points to it. Rows
that were written twice, and a row that points to another one, are as different as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.services.pgcontents import NUMBERED, POINTING
from skillrun.proof.services.pgwire import Row, Session, Value

Column = tuple[int, int]
"""The OID of a table, and the number of one of its columns."""

# A column points to one that points to another one: no schema has more of that.
_DEPTH = 4


@dataclass(frozen=True)
class Numbered:
    """A column that a sequence fills. `first`: the first number that it gives since then."""

    sequence: str  # as SQL writes it
    numbers: str  # the query of the column
    step: int
    first: int


def read_numbered(session: Session) -> dict[Column, Numbered]:
    """The columns that have numbers of a sequence: those that it fills, and those that point to
    them.
    """
    found: dict[Column, Numbered] = {}
    for table, column, sequence, numbers, step in session.run(NUMBERED):
        try:
            ((last, is_called),) = session.run(f"SELECT last_value, is_called FROM {sequence}")
        except ServiceFailed:
            continue  # its numbers are shown as they are
        first = int(str(last))
        if is_called:
            first += int(str(step))
        made = Numbered(str(sequence), str(numbers), int(str(step)), first)
        found[int(str(table)), int(str(column))] = made
    pointing: dict[Column, Column] = {}
    for table, column, other_table, other_column in session.run(POINTING):
        mine = int(str(table)), int(str(column))
        pointing.setdefault(mine, (int(str(other_table)), int(str(other_column))))
    for _ in range(_DEPTH):
        for mine, other in pointing.items():
            if other in found:
                found.setdefault(mine, found[other])
    return found


def show_without_gaps(
    session: Session,
    rows: list[Row],
    origins: Iterable[Column],
    known: Mapping[Column, Numbered],
) -> list[Row]:
    """The rows of an answer, with the numbers that were drawn since as they would be without gaps.
    `origins`: from which column of which table each column of the answer comes.
    """
    places: dict[Numbered, dict[int, int]] = {}
    for at, origin in enumerate(origins):
        column = known.get(origin)
        if column is None or not any(_is_new(row[at], column) for row in rows):
            continue
        if column not in places:
            places[column] = _read_places(session, column)
        for row in rows:
            number = row[at]
            if isinstance(number, int):
                row[at] = places[column].get(number, number)
    return rows


def _is_new(value: Value, column: Numbered) -> bool:
    return isinstance(value, int) and value >= column.first


def _read_places(session: Session, column: Numbered) -> dict[int, int]:
    """Number -> the one that its row would have, for the numbers that the sequence has given since.
    One that a row has from somewhere else stays.
    """
    try:
        ((last, _),) = session.run(f"SELECT last_value, is_called FROM {column.sequence}")
        is_drawn = f"number BETWEEN {column.first} AND {last}"
        asked = f"SELECT DISTINCT number FROM ({column.numbers}) n WHERE {is_drawn} ORDER BY 1"
        rows = session.run(asked)
    except ServiceFailed:
        return {}  # its numbers are shown as they are
    places: dict[int, int] = {}
    for place, (number,) in enumerate(rows):
        places[int(str(number))] = column.first + place * column.step
    return places
