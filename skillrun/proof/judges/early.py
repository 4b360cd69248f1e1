"""Whether a message that comes before the application's own call, sent by hand or by another way,
is in the way of the job.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the job is not done once the application has made its call. A call that
    refuses what the early message has done already leaves nothing undone.
    """
    if history.pending or _is_done(history, reference):
        return
    what = "the job is never done"
    if history.all("caller-raised"):
        what = "the application's own call fails from then on"
    # No application sends such a message: somebody does, by hand or from another place, and looks.
    yield name_risk(
        "early",
        RiskGrade.STUCK,
        f"after a message that came too early {what}",
        expected="the job is done once the call was made",
        seen=what,
    )


def _is_done(history: History, reference: Reference) -> bool:
    """Whether the effects of the single run took place; of a job without effects, whether the state
    is that of the single run.
    """
    wanted = _list_wanted(reference)
    if wanted:
        done = _list_calls(history)
        effects = {(effect, None) for effect, _ in done}
        return wanted <= done | effects
    names = history.state.keys() - reference.volatile - reference.letters
    return all(history.state[name] == reference.once.state.get(name) for name in names)


def _list_wanted(reference: Reference) -> set[tuple[str, str | None]]:
    """(effect, key) of the calls of a single run. A key that the job draws at random is another one
    in each run: then None stands in its place, and any call of the effect will do.
    """
    calls = _list_calls(reference.once)
    if reference.later is None:
        return calls
    again = _list_calls(reference.later)
    drawn = {(effect, None) for effect, _ in calls - again}
    return (calls & again) | drawn


def _list_calls(history: History) -> set[tuple[str, str | None]]:
    """(effect, key) of each call that took place."""
    return {(call["effect"], call["key"]) for call in history.performed()}
