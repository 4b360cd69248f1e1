"""Whether a message that comes late is still done: a worker was away over a long weekend, or
somebody published it again.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, count_new_letters, ends_as
from skillrun.proof.ticks import has_next_tick

_DAY_S = 86_400.0
# A retry or a second tick within an hour finds the same work; what comes later may find a new day.
_OTHER_WORK_S = 3_600
# Of these the spec says that a job may end although the effect did not take place.
_MAY_BE_LOST = ("at_most_once", "none")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the job is not done, and nothing tells that it was not: no error, no dead
    letter, no row. What is dropped within the delay that the spec accepts is lost; what comes later
    than that, somebody may have meant to drop.
    """
    if history.hung or history.pending or not history.runs:
        return
    if any(map(_goes_by_server_clock, history.events)):
        # Its clock has not moved on: rows of this minute look as old as the message.
        return
    missing = _list_missing(history, reference)
    if not missing or history.runs[-1].outcome != "succeeded" or _was_told(history, reference):
        return
    late = history.schedule.late
    grade = RiskGrade.MINOR
    if late <= reference.acceptable_delay:
        grade = RiskGrade.LOST
    yield name_risk(
        "late-skipped",
        grade,
        f"a message that comes {_say_time(late)} late counts as done without {missing[0]}, and"
        " nothing shows it",
        effect=missing[0],
        expected="the job is done, or something says that it was not",
        seen="the job succeeds",
    )


def is_published_late(history: History, reference: Reference) -> bool:
    """Whether the state of a job that a clock publishes is another one than after the single run,
    where its last delivery came so much later that other work may have been due.
    """
    if not has_next_tick(reference.spec, reference.facts) or history.hung:
        return False
    if count_seconds(history, reference) < _OTHER_WORK_S:
        return False
    return not ends_as(history, reference.once, reference)


def count_seconds(history: History, reference: Reference) -> int:
    """From the single run to the last delivery; 0 where there is none. A schedule may itself begin
    much later, as two ticks on the day on which clocks are turned back do.
    """
    if not history.runs or not reference.once.runs:
        return 0
    return round(history.runs[-1].clock - reference.once.runs[0].clock)


def _goes_by_server_clock(event: Event) -> bool:
    """Whether an event is a statement of a database server, whose times are its own."""
    store = str(event["store"] or "")
    return event["sql"] is not None and not store.startswith(("sqlite:", ":memory:"))


def _list_missing(history: History, reference: Reference) -> list[str]:
    """The effects that took place less often than in the single run, and may not be lost."""
    missing = []
    for effect in reference.effects:
        is_asked = effect.guarantee not in _MAY_BE_LOST
        done = len(history.performed(effect.name))
        if is_asked and done < len(reference.calls(effect.name)):
            missing.append(effect.name)
    return missing


def _was_told(history: History, reference: Reference) -> bool:
    """Whether a dead letter or a row was written that may tell that the job was not done."""
    if count_new_letters(history, reference) > 0:
        return True
    for name, rows in history.state.items():
        if name not in reference.volatile and rows != reference.before.get(name):
            return True
    return False


def _say_time(seconds: float) -> str:
    """A time as a message says it: "90 min", "3 days"."""
    if seconds < _DAY_S:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / _DAY_S:.0f} days"
