"""Which transitions of a job's state machine a proof has seen happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from skillrun.proof.history import Delivery, History

TRANSITIONS: dict[str, str] = {
    "start": "a message is taken up for the first time",
    "finish": "the work is done",
    "skip": "a message whose work is done already does nothing",
    "retry": "an attempt fails and will be repeated",
    "again": "a job that waited for its next attempt is taken up",
    "die": "the process dies while it works",
    "redeliver": "a message whose process died is taken up again",
    "give-up": "no attempt is left, or none would help",
    "refuse": "a malformed message is given up",
}
"""Name of a transition -> what happens."""


def count_transitions(histories: Iterable[History]) -> dict[str, int]:
    """Name of a transition -> in how many schedules it took place; none that was never seen."""
    counted = Counter(name for history in histories for name in transitions(history))
    return {name: counted[name] for name in TRANSITIONS if counted[name]}


def transitions(history: History) -> set[str]:
    """The transitions that took place under one schedule."""
    before: dict[int, str] = {}
    found: set[str] = set()
    for run in history.runs:
        if not run.entered:
            continue
        last = before.get(run.job)
        found |= {_entry(last), _exit(run, last)}
        before[run.job] = run.outcome
    return found


def _entry(last: str | None) -> str:
    return {"retried": "again", "died": "redeliver"}.get(last or "", "start")


def _exit(run: Delivery, last: str | None) -> str:
    if run.outcome == "succeeded":
        if last == "succeeded" and not any(run.all("performed")):
            return "skip"
        return "finish"
    if run.outcome == "failed":
        if run.job < 0:
            return "refuse"
        return "give-up"
    if run.outcome == "died":
        return "die"
    return "retry"
