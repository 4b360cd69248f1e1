"""Jobs that nobody gave and that leave no mark: a handler that treats some values of its key
another way is proved by none of the examples.

What a varied payload comes to is its own affair, but where it has the effects that the example has,
it leaves what the example leaves. Otherwise a second delivery would find nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.proof.jobs import get_field
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.varied import VARIED, name_varied_field

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery, History
    from skillrun.proof.reference import Reference

RULE = "state.mark-skipped"
_SHOWN = 3
Row = Sequence[Any]
Rows = Mapping[str, list[Row]]


@dataclass(frozen=True)
class _Mark:
    """A row that the example leaves, and which of its columns holds which key field.

    `columns`: a field stands in one column, and no two fields in the same one. A row of another
    job has that job's value in each.
    """

    query: str
    row: Row
    columns: Mapping[str, int]
    before: tuple[Row, ...] = ()  # what stood in the table before anything ran

    def find_rows(self, rows: Rows, payload: Any) -> list[Row]:
        """The rows that are the same one of another job."""
        found = []
        for row in rows.get(self.query, []):
            if len(row) == len(self.row) and self._is_of(row, payload):
                found.append(row)
        return found

    def _is_of(self, row: Row, payload: Any) -> bool:
        wanted = {at: get_field(payload, name) for name, at in self.columns.items()}
        return all(str(row[at]) == str(value) for at, value in wanted.items())


Unmarked = Mapping[str, list[int]]


def find_skipped_marks(history: History, reference: Reference) -> Iterator[Judgement]:
    """One judgement for the first row and key field that some jobs leave and some do not."""
    left = _read_rows(history.state) | _read_rows(history.tables)
    once = _read_rows(reference.once.state) | _read_rows(reference.once.tables)
    key = reference.spec.idempotency.key if reference.spec.idempotency else ()
    jobs = {}
    for name in key:
        jobs[name] = _list_like_example(history, reference, name)
    for marks in _list_marks(once, reference, key):
        answers = []
        for mark in marks:
            unmarked = _list_unmarked_by_field(mark, left, jobs, reference.spec.examples[0])
            if unmarked:
                answers.append((mark, unmarked))
        if not answers:
            continue
        # A field may stand in another column by chance: the best columns have the key.
        mark, missing = min(answers, key=_count_unmarked)
        for name, numbers in missing.items():
            if numbers:
                yield _say_skipped(mark, name, numbers, len(jobs[name]))
                return


def _list_unmarked_by_field(
    mark: _Mark, left: Rows, jobs: Mapping[str, Mapping[int, Any]], example: Any
) -> Unmarked:
    """Key field -> the jobs with another value of it that left no such row. A field whose jobs do
    not have such a row each is left out.
    """
    found = {}
    for name in mark.columns:
        if _is_of_each_job(mark, left, jobs[name], example, name):
            found[name] = _list_unmarked(mark, left, jobs[name])
    return found


def _count_unmarked(answer: tuple[_Mark, Unmarked]) -> int:
    """How many jobs have left no such row."""
    _mark, unmarked = answer
    return sum(map(len, unmarked.values()))


def _is_of_each_job(
    mark: _Mark, left: Rows, jobs: Mapping[int, Any], example: Any, name: str
) -> bool:
    """Whether jobs have such a row side by side. A row that the next job replaces is a place where
    one job stands at a time, and what numbers the rows is the number of a job by chance.
    """
    if not mark.find_rows(left, example):
        return False
    values = [get_field(payload, name) for payload in jobs.values()]
    highest = _find_highest_number(
        left[mark.query], mark, name, [get_field(example, name), *values]
    )
    for payload in jobs.values():
        value = get_field(payload, name)
        is_number = isinstance(value, int) and value <= highest
        if not is_number and mark.find_rows(left, payload):
            return True
    return False


def _find_highest_number(rows: Iterable[Row], mark: _Mark, name: str, values: Iterable[Any]) -> int:
    """The highest number that a field's column gives to its rows, as an autoincrement does: 66 in
    such a column may be the 66th row, and says nothing of job 66.

    `values`: what the jobs have in the field.
    """
    of_jobs = set(map(str, values))
    added = [row for row in rows if len(row) == len(mark.row) and row not in mark.before]
    # Rows are numbered from 1 to their count where none was ever removed.
    highest = len(mark.before) + len(added)
    for row in added:
        cell = row[mark.columns[name]]
        # Where some were removed, the numbers have gaps: one that is no job's value is a row's.
        if isinstance(cell, int) and str(cell) not in of_jobs:
            highest = max(highest, cell)
    return highest


def _read_rows(state: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Without the queries that could not be answered."""
    return {name: rows for name, rows in state.items() if isinstance(rows, list)}


def _list_like_example(history: History, reference: Reference, field: str) -> dict[int, Any]:
    """Job -> its payload: those that succeed with the very effects of the example, and have another
    value of this field alone.
    """
    wanted = _count_effects(reference.once.runs)
    found = {}
    for run in history.runs:
        payload = history.payloads.get(run.job)
        if run.job < VARIED or name_varied_field(reference.spec, payload) != field:
            continue
        if run.outcome == "succeeded" and _count_effects([run]) == wanted:
            found[run.job] = payload
    return found


def _count_effects(runs: Sequence[Delivery]) -> Counter[str]:
    found = Counter[str]()
    for run in runs:
        found.update(str(event["effect"]) for event in run.all("performed"))
    return found


def _list_marks(once: Rows, reference: Reference, key: Iterable[str]) -> Iterator[list[_Mark]]:
    """For each row that the example's single run adds, the ways in which its columns may hold the
    key, as far as they hold it.
    """
    example = reference.spec.examples[0]
    before = _read_rows(reference.before)
    for query, rows in once.items():
        if query in reference.volatile:
            continue
        earlier = tuple(before.get(query, []))
        for row in rows:
            if row not in earlier:
                marks = []
                for columns in _assign_columns(row, example, key):
                    marks.append(_Mark(query, row, columns, earlier))
                yield marks


def _assign_columns(row: Row, example: Any, key: Iterable[str]) -> list[dict[str, int]]:
    """The ways to give the key fields columns that hold the example's value, each a column of its
    own. Where the row has fewer columns than fields, some fields have none.
    """
    key = tuple(key)
    choices = [(*_find_columns(row, get_field(example, name)), None) for name in key]
    ways = []
    for choice in itertools.product(*choices):
        way: dict[str, int] = {}
        for name, column in zip(key, choice, strict=True):
            if column is not None and column not in way.values():
                way[name] = column
        if way not in ways:
            ways.append(way)
    most = max(map(len, ways))
    return [way for way in ways if len(way) == most]


def _find_columns(row: Row, value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(at for at, cell in enumerate(row) if str(cell) == str(value))


def _list_unmarked(mark: _Mark, left: Rows, jobs: Mapping[int, Any]) -> list[int]:
    """The jobs without such a row, compared in what the example's run made of it."""
    rows = {}
    for job, payload in jobs.items():
        rows[job] = mark.find_rows(left, payload)
    agreed = _find_agreed_columns(mark, rows)
    return [job for job, own in rows.items() if not _is_marked(mark, own, agreed)]


def _is_marked(mark: _Mark, own: Iterable[Row], agreed: list[int]) -> bool:
    """Whether one of a job's rows is like the example's in these columns."""
    wanted = [mark.row[at] for at in agreed]
    for row in own:
        # Where no column tells them apart, a row that stood there before shows nothing.
        if not agreed and row in mark.before:
            continue
        if [row[at] for at in agreed] == wanted:
            return True
    return False


def _find_agreed_columns(mark: _Mark, rows: Mapping[int, list[Row]]) -> list[int]:
    """A row that stands there beforehand, with another status, is no mark: what the example's run
    changed in it is asked for. What a job brings along, such as its amount, is its own affair, and
    so is what differs in each job, such as a number or a token.
    """
    found = []
    holders = list(filter(None, rows.values()))
    for at in _list_changed_columns(mark):
        same = 0
        for own in holders:
            same += mark.row[at] in [row[at] for row in own]
        if 2 * same >= len(holders):
            found.append(at)
    return found


def _list_changed_columns(mark: _Mark) -> list[int]:
    """Where the example's row differs from the one of its key that stood there; none where it was
    added.
    """
    nearest, most = None, -1
    for row in mark.before:
        if len(row) == len(mark.row) and _has_same_key(row, mark):
            alike = len(row) - len(_list_differences(row, mark.row))
            if alike > most:
                nearest, most = row, alike
    if nearest is None:
        return []
    return _list_differences(nearest, mark.row)


def _has_same_key(row: Row, mark: _Mark) -> bool:
    return all(row[column] == mark.row[column] for column in mark.columns.values())


def _list_differences(one: Row, other: Row) -> list[int]:
    return [at for at, cell in enumerate(one) if cell != other[at]]


def _say_skipped(mark: _Mark, field: str, missing: list[int], count: int) -> Judgement:
    numbers = ", ".join(f"varied={job - VARIED + 1}" for job in missing[:_SHOWN])
    said = (
        f"{len(missing)} of {count} jobs with another {field} have the effects of the first example"
        f" and leave nothing in {mark.query}, where it leaves {list(mark.row)} ({numbers}): what"
        " becomes of those jobs is not proved"
    )
    step = f"let every {field} leave its mark, or give an example of those that are another case"
    return Judgement(Verdict.INCOMPLETE, RULE, said, expected=step)
