"""Whether anybody still knows that a job is to be done when the broker has lost its messages."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.outages import find_showing
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, is_kept, must_complete, was_met

_LOST = "broker-lost"
_EXPECTED = "a sweep that publishes the job again (recovers)"


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where nobody does a job again whose message is lost; how bad it is depends on
    whether the state shows that it is not done. Where the spec names a sweep the job must be done,
    and the other judges say so.
    """
    if history.schedule.emptied is None or not was_met(history):
        return
    if must_complete(history, reference) or _is_settled(history, reference):
        return
    showing = find_showing(history, reference)
    if showing:
        said = (
            "the broker loses its messages, and the job is not done until a person sees that"
            f" {', '.join(showing)} still shows it"
        )
        yield name_risk(
            _LOST, RiskGrade.STUCK, said, expected=_EXPECTED, seen="it waits for a person"
        )
        return
    said = (
        "the broker loses its messages, and the job with them: nothing shows that it was to be done"
    )
    yield name_risk(_LOST, RiskGrade.LOST, said, expected=_EXPECTED, seen="nothing")


def _is_settled(history: History, reference: Reference) -> bool:
    """Whether the job is done, by a delivery or by a sweep itself, or was given up
    with a record.
    """
    if any(run.outcome == "succeeded" for run in history.runs) or is_kept(history, reference):
        return True
    done = set(map(_identify_call, history.all("performed")))
    wanted = set(map(_identify_call, reference.once.performed()))
    return bool(wanted) and wanted <= done


def _identify_call(call: Event) -> tuple[str, str, str]:
    """What tells one call of an effect from the job's others."""
    return str(call["effect"]), str(call["key"]), str(call["subject"])
