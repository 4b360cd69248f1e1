"""Tables that a job writes and that no state query of its spec reads: each is read as a whole. Where it
ends in every schedule as after a single run, nothing is hidden in it, and nobody is asked for a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skillrun.proof.history import History
from skillrun.proof.judges.effects import is_kept
from skillrun.proof.reference import Reference, must_complete


def write_query(table: str) -> str:
    """All rows of a table, which may have its schema before it."""
    named = ".".join(f'"{part}"' for part in table.split("."))
    return f"select * from {named}"


def find_like_state(histories: Iterable[History], reference: Reference) -> set[str]:
    """The tables that end like state wherever the job must have been done."""
    same = {name for name, rows in reference.once.tables.items() if isinstance(rows, list)}
    if reference.later is not None:
        same = _keep_same(same, reference.later, reference)
    for history in histories:
        schedule = history.schedule
        # Other jobs leave rows of their own, and another day another date.
        is_alone = not schedule.jobs and schedule.beside is None and not schedule.midnight
        is_done = must_complete(history, reference) and not is_kept(history, reference)
        if is_alone and is_done and history.tables:
            same = _keep_same(same, history, reference)
    return same


def _keep_same(names: set[str], history: History, reference: Reference) -> set[str]:
    kept: set[str] = set()
    for name in names:
        if _sort_rows(history.tables.get(name)) == _sort_rows(reference.once.tables[name]):
            kept.add(name)
    return kept


def _sort_rows(rows: Any) -> list[str]:
    return sorted(map(repr, rows)) if isinstance(rows, list) else []
