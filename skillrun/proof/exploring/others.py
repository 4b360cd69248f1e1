"""What the application's sweeps do to the rows of jobs that a schedule does not deliver.

A sweep looks at every row. It publishes the other jobs as well, and those messages go nowhere; so
their rows stand still, and a sweep may bury them for their age. Nothing of that is the job's doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.jobs import get_field

Row = Sequence[Any]
State = Mapping[str, Any]


@dataclass(frozen=True)
class Keys:
    """By which rows are told apart. `own`: for each key field the value of the job that is
    delivered; `others`: those of the other examples.
    """

    own: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def read(cls, payloads: Mapping[int, Any], key: Sequence[str]) -> Keys:
        """`payloads`: by job; 0 is the one that is delivered, below it are no jobs."""
        own = _read_values(payloads.get(0), key)
        others: list[tuple[str, ...]] = []
        for job, payload in payloads.items():
            if job > 0:
                others.append(_read_values(payload, key))
        return cls(own, tuple(others))

    def find_columns(self, rows: Sequence[Row]) -> dict[int, int]:
        """Where a query's rows have the key: place of the field -> the first column that holds its
        value of another example, and of the own job if there is such a one.
        """
        columns = [set(map(str, cells)) for cells in zip(*rows, strict=False)]
        found: dict[int, int] = {}
        for place, value in enumerate(self.own):
            known = {values[place] for values in self.others} - {value}
            for column, cells in enumerate(columns):
                if known.isdisjoint(cells):
                    continue
                found.setdefault(place, column)
                if value in cells:
                    found[place] = column
                    break
        return found


def _read_values(payload: Any, key: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(get_field(payload, field)) for field in key)


@dataclass(frozen=True)
class _Change:
    """One row of another job, in the answer of one query, before and after a sweep. None: it was
    not there. `place`: where it stood.
    """

    query: str
    key: tuple[str, ...]
    before: Row | None
    after: Row | None
    place: int = 0

    def undo(self, rows: list[Row]) -> list[Row]:
        """The query's rows without this change; as they are where somebody else has changed that
        row since.
        """
        place = self.place
        if self.after is not None:
            if self.after not in rows:
                return rows
            place = rows.index(self.after)
            rows = [*rows[:place], *rows[place + 1 :]]
        if self.before is None:
            return rows
        return [*rows[:place], self.before, *rows[place:]]


@dataclass
class Others:
    """What the sweeps of one schedule have done to other jobs, in order."""

    changes: list[_Change] = field(default_factory=list)
    letters: int = 0

    def note(self, keys: Keys, before: State, after: State, letters: int) -> None:
        """Notes what one sweep has done. `letters`: how many dead letters it has added."""
        found: list[_Change] = []
        for query, rows in before.items():
            rows_after = after.get(query)
            if isinstance(rows, list) and isinstance(rows_after, list):
                found += _compare(query, keys, rows, rows_after)
        self.changes += found
        jobs = {change.key for change in found}
        self.letters += min(max(letters, 0), len(jobs))

    def undo(self, state: State) -> dict[str, Any]:
        """The answers as they would be if no sweep had touched another job's row."""
        undone = dict(state)
        for change in reversed(self.changes):
            rows = undone.get(change.query)
            if isinstance(rows, list):
                undone[change.query] = change.undo(rows)
        return undone


def _compare(query: str, keys: Keys, before: list[Row], after: list[Row]) -> Iterator[_Change]:
    """Yields the rows of other jobs that differ between two answers of a query."""
    if before == after or _is_one_value(before):
        return
    places = keys.find_columns([*before, *after])
    own = tuple(keys.own[place] for place in places)
    columns = tuple(places.values())
    gone, come = _subtract(before, after), _subtract(after, before)
    for row in gone:
        key = _read_key(row, columns)
        if key == own:
            continue
        later = _take_row(come, columns, key)
        yield _Change(query, key, row, later, before.index(row))
    for row in come:
        key = _read_key(row, columns)
        if key != own:
            yield _Change(query, key, None, row)


def _take_row(rows: list[Row], columns: Sequence[int], key: tuple[str, ...]) -> Row | None:
    """Takes the first row with a key out of the rows; None where there is none."""
    for place, row in enumerate(rows):
        if _read_key(row, columns) == key:
            return rows.pop(place)
    return None


def _is_one_value(rows: list[Row]) -> bool:
    """Whether a query answers with a number or a word: it may be anybody's."""
    return len(rows) == 1 and len(rows[0]) == 1


def _read_key(row: Row, columns: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in columns)


def _subtract(rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows that are not among the others, each as often as it is missing there."""
    missing = Counter(map(repr, others))
    found: list[Row] = []
    for row in rows:
        if missing[repr(row)] > 0:
            missing[repr(row)] -= 1
        else:
            found.append(row)
    return found
