"""Whether the job's own rows tell an operator that it was done: somebody who knows a job by its key
fields looks it up there, whatever the logs say.

Only the end of a job is read in rows. Why it failed, and whether it is tried again, an operator
must be told by the logs: nobody looks for a row before somebody complains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.history import History
from skillrun.proof.judges.records import Records
from skillrun.proof.reference import Reference

Row = tuple[Any, ...]


@dataclass(frozen=True)
class ToldRows:
    """`of_failure`: query -> its answers at the end of histories in which the job was not done.
    `key_columns`: (query, key field) -> the columns in which each job's row has its own value.
    """

    reference: Reference
    records: Records
    of_failure: Mapping[str, tuple[list[Row], ...]] = field(default_factory=dict)
    key_columns: Mapping[tuple[str, str], frozenset[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, failed: Iterable[History], reference: Reference, records: Records) -> ToldRows:
        """What the rows of these proofs tell. `failed`: the histories in which the job was not
        done.
        """
        answers: dict[str, list[list[Row]]] = {}
        for history in failed:
            for query, rows in history.state.items():
                if isinstance(rows, list):
                    answers.setdefault(query, []).append(_freeze_rows(rows))
        of_failure = {query: tuple(found) for query, found in answers.items()}
        return cls(reference, records, of_failure, _find_key_columns(reference, records))

    def find_row(self, history: History, job: int) -> str:
        """A row that tells that a job was done, as text with its query; "" where none does."""
        for query in history.state:
            if query in self.reference.volatile:
                continue
            found = self._find_row_of_query(query, history, job)
            if found:
                return f"{query}: {found}"
        return ""

    def _find_row_of_query(self, query: str, history: History, job: int) -> str:
        """The row of one query that tells that a job was done; "" where none does."""
        before, after = self.reference.before.get(query), history.state[query]
        if not isinstance(before, list) or not isinstance(after, list):
            return ""
        old, new = _freeze_rows(before), _freeze_rows(after)
        of_failure = self.of_failure.get(query, ())
        fields = self.records.key_fields(job)
        if not fields:
            # There is one such job: that something is other than before is what it has done.
            if new == old or new in of_failure:
                return ""
            return f"{len(old)} rows before, {len(new)} after"
        for row in new:
            is_of_failure = any(row in rows for rows in of_failure)
            if row in old or is_of_failure:
                continue
            if all(self._has_value(query, row, name, value) for name, value in fields):
                return str(list(row))
        return ""

    def _has_value(self, query: str, row: Row, name: str, value: str) -> bool:
        """Whether a row has the value of a key field, in a column that is the key's."""
        columns = self.key_columns.get((query, name), frozenset())
        return any(column < len(row) and str(row[column]) == value for column in columns)


def _find_key_columns(
    reference: Reference, records: Records
) -> dict[tuple[str, str], frozenset[int]]:
    """(query, key field) -> the columns in which each job that was run alone leaves its own value:
    a number that stands in another column by chance tells no job.
    """
    found: dict[tuple[str, str], frozenset[int]] = {}
    for job, alone in {0: reference.once, **reference.jobs}.items():
        for query, rows in alone.state.items():
            if not isinstance(rows, list):
                continue
            for name, value in records.key_fields(job):
                columns = _find_columns(rows, value)
                known = found.get((query, name), columns)
                found[query, name] = known & columns
    return found


def _find_columns(rows: list[Any], value: str) -> frozenset[int]:
    """The columns in which some row has a value."""
    columns: set[int] = set()
    for row in _freeze_rows(rows):
        for column, cell in enumerate(row):
            if str(cell) == value:
                columns.add(column)
    return frozenset(columns)


def _freeze_rows(rows: Iterable[Any]) -> list[Row]:
    """The answer of a state query as tuples; a query of one column may answer plain values."""
    frozen: list[Row] = []
    for row in rows:
        frozen.append(tuple(row) if isinstance(row, (list, tuple)) else (row,))
    return frozen
