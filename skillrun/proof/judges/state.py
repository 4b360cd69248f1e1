"""The final state is that of the single run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from skillrun.proof.history import TEMPORARY_TABLE, Delivery, Event, History, ends_with_connection
from skillrun.proof.judges.effects import is_kept
from skillrun.proof.reference import INCOMPLETE, REFUTED, Judgement, Reference, must_complete


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Retries must be invisible: whatever happened, the state queries answer as after one run."""
    for name, rows in history.state.items():
        if isinstance(rows, str):
            yield Judgement(
                INCOMPLETE,
                "state.unreadable",
                f"proof.state.{name}: {rows.removeprefix('error: ')}",
            )
            return
    if history.schedule.family == "once":
        yield from _uncommitted(history)
    if history.schedule.family == "late-error":
        yield from _undone(history, reference)
    if history.schedule.family == "store-error":
        yield from _swallowed(history, reference)
    if (
        not must_complete(history, reference)
        or _may_be_lost(history, reference)
        or history.schedule.midnight
    ):
        return  # on another day a date in the state is another one
    if history.schedule.jobs:
        yield from (_together if history.schedule.beside is not None else _distinct)(
            history, reference
        )
        return
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in reference.volatile and rows != wanted:
            said = f"the state differs from that after a single run: {name}"
            yield Judgement(
                REFUTED, "state.differs", said, expected=_rows(wanted), seen=_rows(rows)
            )


def _undone(history: History, reference: Reference) -> Iterator[Judgement]:
    """A delivery that fails late may be given up, but the work that another one has done stays
    done.
    """
    if not all(
        len(history.performed(e.name)) >= len(reference.calls(e.name)) for e in reference.effects
    ):
        return
    if not any(run.outcome == "succeeded" for run in history.runs):
        return
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in reference.volatile | reference.letters and rows != wanted:
            said = f"a delivery that fails late changes what another one has done: {name}"
            yield Judgement(REFUTED, "state.undone", said, expected=_rows(wanted), seen=_rows(rows))


def _swallowed(history: History, reference: Reference) -> Iterator[Judgement]:
    """A write that failed, and a job that the library takes for done. What it leaves too much may
    be a held lease.
    """
    done = bool(history.runs) and history.runs[-1].outcome == "succeeded" and not history.pending
    if not done or is_kept(history, reference) or history.lost or _may_be_lost(history, reference):
        return
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in reference.volatile | reference.letters and _lacks(rows, wanted):
            said = f"a write failed, and the job counts as done without it: {name}"
            yield Judgement(
                REFUTED, "state.error-swallowed", said, expected=_rows(wanted), seen=_rows(rows)
            )


def _lacks(rows: Any, wanted: Any) -> bool:
    """A wanted row is not there; of a single number, when it is smaller."""
    if not isinstance(rows, list) or not isinstance(wanted, list):
        return False
    if len(rows) == len(wanted) == 1 and len(rows[0]) == len(wanted[0]) == 1:
        seen, needed = rows[0][0], wanted[0][0]
        if isinstance(seen, int | float) and isinstance(needed, int | float):
            return seen < needed
    return any(row not in rows for row in wanted)


def _uncommitted(history: History) -> Iterator[Judgement]:
    """A write that nothing commits: the database forgets it when the connection is closed or goes
    back to its pool.
    """
    for delivery in history.deliveries:
        if not delivery.died and delivery.outcome == "succeeded":
            for event in _forgotten(delivery):
                said = f"{event['verb']} {event['table']} is never committed: nothing of it is left"
                yield Judgement(
                    REFUTED, "state.not-committed", said, None, (event.number,), "a commit", "none"
                )


def _forgotten(delivery: Delivery) -> list[Event]:
    """Writes whose transaction was left open, or rolled back although no statement of it had
    failed. No commit is asked of what dies with its connection anyway.
    """
    temporary: set[tuple[str, str]] = set()
    waiting: dict[tuple[str, str], Event] = {}
    failing: set[str] = set()  # stores whose last statement has not come back
    for event in delivery.all("at"):
        store = str(event["store"])
        if event["kind"] == "commit" or (event["kind"] == "rollback" and store in failing):
            waiting = {other: write for other, write in waiting.items() if other[0] != store}
            failing.discard(store)
        elif event["kind"] == "sql" and event["when"] == "before":
            failing.add(store)
            if TEMPORARY_TABLE.match(str(event["sql"])):
                temporary.add((store, str(event["table"])))
        elif event["kind"] == "sql":
            failing.discard(store)
            written = event["verb"] in ("insert", "update", "delete")
            key = store, str(event["table"])
            fleeting = ends_with_connection(store) or key in temporary
            if event["open"] and written and not fleeting:
                waiting[key] = event
    return list(waiting.values())


def _may_be_lost(history: History, reference: Reference) -> bool:
    """The job was given up and kept, or lost where its guarantee or its library allows that."""
    if is_kept(history, reference) or (history.lost and reference.facts.get("lossy")):
        return True
    risky = [effect.name for effect in reference.effects if effect.guarantee == "at_most_once"]
    return bool(history.schedule.faults) and any(
        len(history.performed(name)) < len(reference.calls(name)) for name in risky
    )


def _distinct(history: History, reference: Reference) -> Iterator[Judgement]:
    """The second job has left its own mark, unless it leaves none when it runs alone."""
    alone = reference.jobs.get(history.schedule.jobs[0])
    if alone is None:
        return
    for name, rows in history.state.items():
        first, second = reference.once.state.get(name), alone.state.get(name)
        if name in reference.volatile or not (isinstance(rows, list) and isinstance(second, list)):
            continue
        untouched = reference.before.get(name)
        there = untouched if isinstance(untouched, list) else []
        missing = [row for row in second if row not in rows and row not in there]
        if missing and rows == first and second != first:
            said = f"a distinct job left no trace in {name}: it was taken for the first one"
            yield Judgement(
                REFUTED, "state.distinct-job", said, expected=_rows(missing), seen=_rows(rows)
            )


def _together(history: History, reference: Reference) -> Iterator[Judgement]:
    """Two jobs at once leave what they leave one after the other, in one of the two orders."""
    for name, rows in history.state.items():
        wanted = [order.state.get(name) for order in reference.orders]
        if (
            wanted
            and name not in reference.volatile
            and not any(_same_values(rows, other) for other in wanted)
        ):
            said = f"two distinct jobs at once leave what neither order of them does: {name}"
            yield Judgement(
                REFUTED, "state.lost-update", said, expected=_rows(wanted[0]), seen=_rows(rows)
            )


def _same_values(rows: Any, wanted: Any) -> bool:
    """The same values in each column: which row got which number may differ from order to order."""
    if not isinstance(rows, list) or not isinstance(wanted, list) or len(rows) != len(wanted):
        return False
    return [Counter(map(repr, column)) for column in zip(*rows, strict=False)] == [
        Counter(map(repr, column)) for column in zip(*wanted, strict=False)
    ]


def _rows(rows: Any) -> str:
    text = repr(rows)
    return text if len(text) <= 200 else f"{text[:200]}…"
