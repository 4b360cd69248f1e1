"""Redis came back without its data: what else remembers that the job was done?"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History, find_keys
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Judgement, Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """What took place once more. The receiver of a keyed effect drops a repetition, and one that may
    be repeated was accepted.
    """
    for effect in reference.effects:
        calls = history.performed(effect.name)
        usual = reference.calls(effect.name)
        if len(calls) <= len(usual):
            continue
        is_new = find_keys(calls) - find_keys(usual)
        is_dropped = effect.guarantee in (None, "keyed", "convergent") and not is_new
        if is_dropped or effect.guarantee == "at_least_once":
            continue
        yield name_risk(
            "store-emptied",
            RiskGrade.MONEY,
            f"{effect.name} takes place again where Redis has lost what the job wrote there",
            effect=effect.name,
            events=tuple(call.number for call in calls),
            expected=f"{len(usual)}",
            seen=f"{len(calls)}",
        )
        return
