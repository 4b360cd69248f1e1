"""Whether the answer of an effect is written down that comes when somebody else has given the job
up: the lock of the attempt was over by then.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Delivery, Event, History, is_loud
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.money import moves_money, only_tells
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.state import lacks_rows
from skillrun.proof.reference import Reference, count_new_letters, ends_as

DROPPED = "success-dropped"


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the job ends among the dead letters, an effect of it took place, its
    attempt heard so, and neither a row nor a loud record of that attempt tells it.

    The reference has the same schedule with the answer in time (`once`), and with an attempt that
    never heard it (`unanswered`).
    """
    if history.hung or history.pending or count_new_letters(history, reference) < 1:
        return
    if not _ends_well(reference.once) or not _leaves_no_trace(history, reference):
        return
    late = _find_late(history)
    if late is None:
        return
    delivery, heard = late
    is_told = any(is_loud(event) for event in delivery.events if event.number > heard.number)
    name = str(heard["at"]).removeprefix("after:").partition("#")[0]
    if is_told or delivery.outcome != "succeeded" or not delivery.performs(name):
        return
    yield name_risk(
        DROPPED,
        _choose_grade(reference, name),
        f"{name} took place in the last attempt, and its answer came when somebody else had given"
        " the job up: nothing tells that it did",
        effect=name,
        events=(heard.number,),
        expected="what is left where the answer comes in time, or an error in the log",
        seen="a dead letter",
    )


def _find_late(history: History) -> tuple[Delivery, Event] | None:
    """The delivery that stood still, with the event at which it did; None where none did."""
    for delivery in history.runs:
        for event in delivery.all("fault"):
            if event["do"] == "pause":
                return delivery, event
    return None


def _ends_well(history: History) -> bool:
    """Whether a history came to its end, and the job was done."""
    if history.hung or history.pending or not history.runs:
        return False
    return history.runs[-1].outcome == "succeeded"


def _leaves_no_trace(history: History, reference: Reference) -> bool:
    """Whether a row is not there that is left where the answer comes in time, and all is as where
    it was never heard and the job was given up.
    """
    unheard = reference.unanswered
    if unheard is None or unheard.hung or unheard.pending:
        return False
    if count_new_letters(unheard, reference) < 1:
        return False
    names = history.state.keys() - reference.volatile
    states = [(history.state[name], reference.once.state.get(name)) for name in names]
    is_row_missing = any(lacks_rows(rows, in_time) for rows, in_time in states)
    return is_row_missing and ends_as(history, unheard, reference)


def _choose_grade(reference: Reference, name: str) -> RiskGrade:
    """Who settles the dead letter does it a second time: of what moves money that is money, of a
    message to a person minor.
    """
    calls = reference.once.performed(name)
    for effect in reference.effects:
        if effect.name != name:
            continue
        if only_tells(effect, calls):
            return RiskGrade.MINOR
        if any(moves_money(effect, call) for call in calls):
            return RiskGrade.MONEY
    return RiskGrade.LOST
