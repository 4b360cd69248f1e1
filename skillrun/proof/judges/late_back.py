"""Whether an effect is repeated when a dead worker's message comes back so late that the receiver
has forgotten its key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.money import read_amounts
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

# What the large payment and mail providers promise, where a spec says nothing.
USUAL_WINDOW_S = 24 * 3600.0


# For so long a worker may be away and nobody is surprised.
LONGEST_OUTAGE_S = 24 * 3600.0


def read_window(effect: Effect) -> float:
    """For how long the receiver of an effect knows a key, in seconds."""
    return effect.window or USUAL_WINDOW_S


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where an effect took place, its process died, and nothing but the receiver knew
    of it; and where the message comes back later than the job is of use.
    """
    yield from _judge_delay(history, reference)
    if history.schedule.family != "late-back" or history.hung:
        return
    for effect in reference.effects:
        if effect.guarantee == "keyed":
            yield from _judge_effect(history, reference, effect)


def _judge_delay(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the library takes longer than the spec accepts to bring a dead worker's
    message back, and nobody else does it sooner.
    """
    accepted = reference.acceptable_delay
    is_plain_death = history.schedule.family == "kill" and not history.schedule.moves
    if not is_plain_death or history.hung or not accepted or len(history.runs) < 2:
        return
    passed = history.runs[-1].clock - history.runs[0].clock
    if accepted < passed and reference.facts.redelivery_s > accepted:
        yield name_risk(
            "back-late",
            RiskGrade.MINOR,
            f"the message of a dead worker comes back {passed / 60:.0f} min later: the job is of use"
            f" for {accepted / 60:.0f} min",
            expected=f"within {accepted:.0f} s",
            seen=f"{passed:.0f} s",
        )


def _judge_effect(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Names a risk where one key is used a second time when its receiver has forgotten it."""
    window = read_window(effect)
    first: dict[str, tuple[Event, float]] = {}
    for call in history.performed(effect.name):
        clock = history.delivery_of(call).clock
        earlier, began = first.setdefault(str(call["key"]), (call, clock))
        if clock - began <= window:
            continue
        hours = (clock - began) / 3600
        said = (
            f"{effect.name} takes place a second time when the message comes back {hours:.0f} h"
            " after a death: its receiver has forgotten the key"
        )
        yield name_risk(
            "window-passed",
            _choose_grade(reference, effect, call),
            said,
            effect=effect.name,
            events=(earlier.number, call.number),
            expected="one call, or a person who looks",
            seen="two calls",
        )
        return


def _choose_grade(reference: Reference, effect: Effect, call: Event) -> RiskGrade:
    """How bad it is that an effect takes place a second time.

    A day without a worker is to be reckoned with: a holiday, a bad deploy. A receiver that is known
    to forget a key within it, and is told an amount, pays twice then. So does any receiver where
    the broker itself, or the delay that the spec accepts, is as long as the window. A usual window
    that nobody declared is a guess, and a second mail a nuisance.
    """
    window = read_window(effect)
    forgets = effect.window is not None and effect.window <= LONGEST_OUTAGE_S
    if forgets and read_amounts(call):
        return RiskGrade.MONEY
    if max(reference.acceptable_delay, reference.facts.redelivery_s) >= window:
        return RiskGrade.MONEY
    return RiskGrade.MINOR
