"""Tables that a job writes and that no state query of its spec reads: each is read as a whole.
Where it ends in every schedule as after a single run, nothing is hidden in it, and nobody is asked
for a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skillrun.proof.history import History
from skillrun.proof.judges.state import may_be_lost
from skillrun.proof.reference import Reference, must_complete


def write_query(table: str) -> str:
    """All rows of a table, which may have its schema before it."""
    named = ".".join(f'"{part}"' for part in table.split("."))
    return f"select * from {named}"


def find_like_state(histories: Iterable[History], reference: Reference) -> set[str]:
    """The tables that end like state wherever the job must have been done."""
    fixed = _find_fixed_columns(reference)
    same = set(fixed)
    for history in histories:
        is_done = must_complete(history, reference) and not may_be_lost(history, reference)
        if is_done and history.tables and _is_alone(history):
            same = {name for name in same if _ends_alike(name, fixed[name], history, reference)}
    return same


def _is_alone(history: History) -> bool:
    """Other jobs and rivals leave rows of their own, and another day another date."""
    schedule = history.schedule
    is_crowded = schedule.jobs or schedule.beside is not None or history.rivalries
    return not is_crowded and not schedule.midnight


def _find_fixed_columns(reference: Reference) -> dict[str, set[int]]:
    """Table -> its columns that two single runs leave alike. What differs between them is a time or
    was made at random, such as `handled_at`, and says nothing of how often something was done.

    A table of which no column stays is not compared at all.
    """
    found: dict[str, set[int]] = {}
    for name, rows in reference.once.tables.items():
        again = rows
        if reference.later is not None:
            again = reference.later.tables.get(name)
        if not isinstance(rows, list) or not isinstance(again, list) or len(rows) != len(again):
            continue
        width = len(rows[0]) if rows else 0
        columns = {at for at in range(width) if _take(rows, {at}) == _take(again, {at})}
        if columns or not rows:
            found[name] = columns
    return found


def _ends_alike(name: str, columns: set[int], history: History, reference: Reference) -> bool:
    """As many rows as after a single run, and the same in these columns."""
    rows = history.tables.get(name)
    if not isinstance(rows, list) or len(rows) != len(reference.once.tables[name]):
        return False
    return _take(rows, columns) == _take(reference.once.tables[name], columns)


def _take(rows: list[Any], columns: set[int]) -> list[str]:
    """These columns of all rows, in an order of their own."""
    found = []
    for row in rows:
        found.append(repr([row[at] for at in sorted(columns)]))
    return sorted(found)
