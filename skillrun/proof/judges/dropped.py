"""Whether a worker outlives a connection to its database that the server has closed."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.outages import find_showing
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, was_met

Deed = tuple[int, str, str]
"""(job, effect, what it is about) of an effect that took place."""


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where jobs of the worker that met the fault are not done, and the same jobs are
    done where each of them has a process of its own.
    """
    apart = reference.apart
    if apart is None or apart.hung or apart.pending or not was_met(history):
        return
    if not _is_less(history, apart, reference):
        return
    said = (
        f"the server closes the connection at {history.schedule.faults[0].at}: what this worker is"
        " given from then on is not done, though a worker that is started anew does it"
    )
    grade = RiskGrade.LOST
    if history.pending or history.dead_letters or find_showing(history, reference):
        grade = RiskGrade.STUCK
    yield name_risk(
        "connection-kept",
        grade,
        said,
        expected="each job is done over a new connection",
        seen=_tell_end(history),
    )


def _is_less(history: History, apart: History, reference: Reference) -> bool:
    """Whether less was done in one process than in several. Of a job without effects the state
    tells it.
    """
    if reference.effects:
        return bool(_list_deeds(apart) - _list_deeds(history))
    return bool(find_showing(history, reference)) and not find_showing(apart, reference)


def _list_deeds(history: History) -> set[Deed]:
    found: set[Deed] = set()
    for call in history.performed():
        job = history.delivery_of(call).job
        found.add((job, str(call["effect"]), str(call["subject"])))
    return found


def _tell_end(history: History) -> str:
    """How the last delivery ended."""
    last = history.runs[-1]
    failed = last.first("raised")
    if failed is None:
        return last.outcome
    return f"{failed['error']}: {failed['text']}"
