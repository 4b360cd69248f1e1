"""A message that comes before the application's own call: sent by hand, or by another way."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judges.effects import is_kept
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Judgement, Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Whatever it leaves, the job is done once the application has made its call."""
    failed = [one for one in history.deliveries if one.first("caller-raised") is not None]
    if history.pending or (not failed and _is_done(history, reference)):
        return
    what = "the application's own call fails from then on" if failed else "the job is never done"
    # Its record tells that something was wrong with it.
    grade = RiskGrade.STUCK if is_kept(history, reference) else RiskGrade.LOST
    yield name_risk(
        "early",
        grade,
        f"after a message that came too early {what}",
        expected="the job is done once the call was made",
        seen=what,
    )


def _is_done(history: History, reference: Reference) -> bool:
    done = {(call["effect"], call["key"]) for call in history.performed()}
    wanted = {(call["effect"], call["key"]) for call in reference.once.performed()}
    if wanted:
        return wanted <= done
    names = history.state.keys() - reference.volatile - reference.letters
    return all(history.state[name] == reference.once.state.get(name) for name in names)
