"""What the application's sweeps do to the rows of jobs that a schedule does not deliver.

A sweep looks at every row. It publishes the other jobs as well, and those messages go nowhere; so
their rows stand still, and a sweep may bury them for their age. Nothing of that is the job's doing.

A row is another job's only where nothing contradicts it. In doubt it is taken for the job's own,
and what a sweep does to it counts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.jobs import get_field
from skillrun.proof.varied import VARIED

# Each order of the columns is tried.
_MOST_FIELDS = 3
Row = Sequence[Any]
State = Mapping[str, Any]


@dataclass(frozen=True)
class Keys:
    """By which rows are told apart. `own`: the values of the key of the job that is delivered;
    `others`: those of the other examples.
    """

    own: tuple[str, ...] = ()
    others: frozenset[tuple[str, ...]] = frozenset()

    @classmethod
    def read(cls, payloads: Mapping[int, Any], key: Sequence[str]) -> Keys:
        """`payloads`: by job; 0 is the one that is delivered. Poison and varied payloads are no
        jobs that have rows.
        """
        own = _read_values(payloads.get(0), key)
        others: set[tuple[str, ...]] = set()
        for job, payload in payloads.items():
            if 0 < job < VARIED:
                others.add(_read_values(payload, key))
        return cls(own, frozenset(others - {own}))

    def find_columns(self, rows: Sequence[Row]) -> list[tuple[int, ...]]:
        """Each way in which columns of a query may hold the key, one column a field, as its rows
        stood at the start: the own key in one row, and that of another example in another.
        """
        width = min(map(len, rows), default=0)
        if len(self.own) > _MOST_FIELDS:
            return []
        ways = itertools.permutations(range(width), len(self.own))
        return [columns for columns in ways if self._tells_jobs(rows, columns)]

    def _tells_jobs(self, rows: Sequence[Row], columns: tuple[int, ...]) -> bool:
        counted = Counter(read_key(row, columns) for row in rows)
        has_other = not self.others.isdisjoint(counted)
        return bool(columns) and counted[self.own] == 1 and has_other


def _read_values(payload: Any, key: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(get_field(payload, name)) for name in key)


def read_key(row: Row, columns: Sequence[int]) -> tuple[str, ...]:
    """The values of a row in some of its columns."""
    return tuple(str(row[column]) for column in columns)


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

    def note(self, keys: Keys, start: State, before: State, after: State, letters: int) -> None:
        """Notes what one sweep has done. `start`: the answers before anything was delivered.
        `letters`: how many dead letters the sweep has added; where the job's own row changed too,
        they count as its own.
        """
        found: list[_Change] = []
        is_own_changed = False
        for query, rows in before.items():
            rows_after: Any = after.get(query)
            if rows_after == rows or not _are_rows(rows, rows_after, start.get(query)):
                continue
            ways = keys.find_columns(start[query])
            changes = list(_compare(query, rows, rows_after, ways))
            of_others = [change for change in changes if change.key in keys.others]
            is_own_changed = is_own_changed or len(of_others) < len(changes)
            found += of_others
        self.changes += found
        if not is_own_changed:
            self.letters += min(max(letters, 0), len({change.key for change in found}))

    def undo(self, state: State, like: State) -> dict[str, Any]:
        """The answers as they would be if no sweep had touched another job's row. `like`: where
        these have the same rows in another order, the order of these.
        """
        undone = dict(state)
        for change in reversed(self.changes):
            rows = undone.get(change.query)
            if isinstance(rows, list):
                undone[change.query] = change.undo(rows)
        for query in {change.query for change in self.changes}:
            if _has_same_rows(undone[query], like.get(query)):
                undone[query] = like[query]
        return undone


def _are_rows(*answers: Any) -> bool:
    return all(isinstance(answer, list) for answer in answers)


def _has_same_rows(rows: Any, others: Any) -> bool:
    if not _are_rows(rows, others):
        return False
    return Counter(map(repr, rows)) == Counter(map(repr, others))


def _compare(
    query: str, before: list[Row], after: list[Row], ways: list[tuple[int, ...]]
) -> Iterator[_Change]:
    """Yields the rows that differ between two answers of a query. Where the ways to read a row's
    key do not agree, it is nobody's: ().
    """
    gone, come = _subtract(before, after), _subtract(after, before)
    for row in gone:
        key = _agree_on_key(row, ways)
        yield _Change(query, key, row, _take_row(come, ways, key), before.index(row))
    for row in come:
        yield _Change(query, _agree_on_key(row, ways), None, row)


def _agree_on_key(row: Row, ways: list[tuple[int, ...]]) -> tuple[str, ...]:
    keys = {read_key(row, columns) for columns in ways}
    if len(keys) != 1:
        return ()
    return keys.pop()


def _take_row(rows: list[Row], ways: list[tuple[int, ...]], key: tuple[str, ...]) -> Row | None:
    """Takes the first row with a key out of the rows; None where there is none."""
    for place, row in enumerate(rows):
        if key and _agree_on_key(row, ways) == key:
            return rows.pop(place)
    return None


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
