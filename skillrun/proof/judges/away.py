"""Whether a job is tried again, and does not count as done, where the receiver of an effect is
away, hangs up or is out of service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, ends_as

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

_WORDS = {
    "refuse": "where nobody is there",
    "hang-up": "where its receiver hangs up",
    "answer": "where its receiver answers 503",
}
# Of these the spec says that a job may end although the effect did not take place.
_MAY_BE_LOST = ("at_most_once", "none")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the real call, made to a receiver that is away, ends the job at once, or
    says nothing of it. A call that comes to no receiver in a proof shows neither.
    """
    calls_away = history.all("away")
    if not calls_away or history.hung:
        return
    away = calls_away[0]
    effect = _find_effect(reference, str(away["name"]).rpartition("#")[0])
    if effect is None or effect.guarantee in _MAY_BE_LOST:
        return
    has_attempts = (reference.max_attempts or 1) > 1
    if has_attempts and len(history.runs) == 1 and history.runs[0].outcome == "failed":
        yield _name_early_end(reference, effect, away)
    elif _counts_as_done(history, reference, effect):
        yield _name_false_success(effect, away)


def _find_effect(reference: Reference, name: str) -> Effect | None:
    """The effect of a name; None where the spec has none."""
    for effect in reference.effects:
        if effect.name == name:
            return effect
    return None


def _counts_as_done(history: History, reference: Reference, effect: Effect) -> bool:
    """Whether all is as if the effect had taken place. A job that leaves another state behind may
    have kept it for later.
    """
    if history.pending or not history.runs or history.runs[-1].outcome != "succeeded":
        return False
    if len(history.performed(effect.name)) >= len(reference.calls(effect.name)):
        return False
    return bool(history.state) and ends_as(history, reference.once, reference)


def _name_early_end(reference: Reference, effect: Effect, away: Event) -> Judgement:
    """The risk of a job that is given up at once when its receiver is away."""
    error = str(away["error"] or "").rpartition(":")[2]
    return name_risk(
        "receiver-away",
        RiskGrade.STUCK,
        f"{effect.name} ends the job at once {_WORDS[str(away['way'])]}: its {error or 'answer'} does"
        " not count as transient",
        effect=effect.name,
        events=(away.number,),
        expected=f"{reference.max_attempts} attempts",
        seen="1 attempt",
    )


def _name_false_success(effect: Effect, away: Event) -> Judgement:
    """The risk of a job that succeeds although its receiver is away."""
    return name_risk(
        "receiver-away",
        RiskGrade.LOST,
        f"{effect.name} counts as done {_WORDS[str(away['way'])]}: its real call says nothing of it",
        effect=effect.name,
        events=(away.number,),
        expected="an error that counts as transient",
        seen="the job succeeds",
    )
