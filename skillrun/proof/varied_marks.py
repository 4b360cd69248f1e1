"""Jobs that nobody gave and that leave no mark: a handler that treats some values of its key
another way is proved by none of the examples.

What a varied payload comes to is its own affair, but where it has the effects that the example has,
it leaves what the example leaves. Otherwise a second delivery would find nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skillrun.proof.jobs import get_field
from skillrun.proof.reference import INCOMPLETE, Judgement
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
    """A row that the example leaves, and the column of it that holds the example's key."""

    query: str
    row: Row
    column: int
    before: tuple[Row, ...] = ()  # what stood in the table before anything ran
    # The rest of the key, as far as the row holds it: field -> columns. A row with another rest is
    # another job's, whatever it has in `column`.
    rest: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def find_rows(self, rows: Rows, value: Any, payload: Any) -> list[Row]:
        """The rows that are the same one of another job."""
        found = []
        for row in rows.get(self.query, []):
            is_alike = len(row) == len(self.row) and str(row[self.column]) == str(value)
            if is_alike and self._has_rest(row, payload):
                found.append(row)
        return found

    def _has_rest(self, row: Row, payload: Any) -> bool:
        for name, columns in self.rest.items():
            cells = [str(row[at]) for at in columns]
            if str(get_field(payload, name)) not in cells:
                return False
        return True


def find_skipped_marks(history: History, reference: Reference) -> Iterator[Judgement]:
    """One judgement for the first key field and row that some jobs leave and some do not."""
    left = _read_rows(history.state) | _read_rows(history.tables)
    once = _read_rows(reference.once.state) | _read_rows(reference.once.tables)
    key = reference.spec.idempotency.key if reference.spec.idempotency else ()
    for name in key:
        jobs = _list_like_example(history, reference, name)
        if not jobs:
            continue
        for marks in _list_marks(once, reference, name):
            answers = []
            for mark in marks:
                if _is_of_each_job(mark, left, jobs, reference.spec.examples[0], name):
                    answers.append((mark, _list_unmarked(mark, left, jobs, name)))
            if not answers:
                continue
            # The value may stand in another column by chance: the best one has the key.
            mark, missing = min(answers, key=lambda answer: len(answer[1]))
            if missing:
                yield _say_skipped(mark, name, missing, len(jobs))
                return


def _is_of_each_job(
    mark: _Mark, left: Rows, jobs: Mapping[int, Any], example: Any, name: str
) -> bool:
    """Whether jobs have such a row side by side. A row that the next job replaces is a place where
    one job stands at a time, and what numbers the rows is the number of a job by chance.
    """
    if not mark.find_rows(left, get_field(example, name), example):
        return False
    values = [get_field(payload, name) for payload in jobs.values()]
    highest = _find_highest_number(mark, left[mark.query], [get_field(example, name), *values])
    for payload in jobs.values():
        value = get_field(payload, name)
        is_number = isinstance(value, int) and value <= highest
        if not is_number and mark.find_rows(left, value, payload):
            return True
    return False


def _find_highest_number(mark: _Mark, rows: Iterable[Row], values: Iterable[Any]) -> int:
    """The highest number that a column gives to its rows, as an autoincrement does: 66 in such a
    column may be the 66th row, and says nothing of job 66.

    `values`: what the jobs have in the field that the column is compared with.
    """
    of_jobs = set(map(str, values))
    added = [row for row in rows if len(row) == len(mark.row) and row not in mark.before]
    # Rows are numbered from 1 to their count where none was ever removed.
    highest = len(mark.before) + len(added)
    for row in added:
        cell = row[mark.column]
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


def _list_marks(once: Rows, reference: Reference, name: str) -> Iterator[list[_Mark]]:
    """For each row that the example's single run adds, the columns that hold its value of the
    field.
    """
    example = reference.spec.examples[0]
    wanted = get_field(example, name)
    if wanted is None or reference.spec.idempotency is None:
        return
    others = [other for other in reference.spec.idempotency.key if other != name]
    before = _read_rows(reference.before)
    for query, rows in once.items():
        if query in reference.volatile:
            continue
        earlier = tuple(before.get(query, []))
        for row in rows:
            if row not in earlier:
                rest = _find_rest(row, example, others)
                yield [_Mark(query, row, at, earlier, rest) for at in _find_columns(row, wanted)]


def _find_rest(row: Row, example: Any, others: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Each other key field -> the columns of the row that hold the example's value of it."""
    rest = {}
    for other in others:
        columns = _find_columns(row, get_field(example, other))
        if columns:
            rest[other] = columns
    return rest


def _find_columns(row: Row, value: Any) -> tuple[int, ...]:
    return tuple(at for at, cell in enumerate(row) if str(cell) == str(value))


def _list_unmarked(mark: _Mark, left: Rows, jobs: Mapping[int, Any], name: str) -> list[int]:
    """The jobs without such a row, compared in what the example's run made of it."""
    rows = {}
    for job, payload in jobs.items():
        rows[job] = mark.find_rows(left, get_field(payload, name), payload)
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
        if len(row) == len(mark.row) and row[mark.column] == mark.row[mark.column]:
            alike = len(row) - len(_list_differences(row, mark.row))
            if alike > most:
                nearest, most = row, alike
    return [] if nearest is None else _list_differences(nearest, mark.row)


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
    return Judgement(INCOMPLETE, RULE, said, expected=step)
