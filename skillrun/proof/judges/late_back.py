"""Whether an effect is repeated when a dead worker's message comes back so late that the receiver
has forgotten its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.money import read_amounts
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

PASSED = "window-passed"

# What the large payment and mail providers promise, where a spec says nothing.
USUAL_WINDOW_S = 24 * 3600.0

# For so long a worker may be away and nobody is surprised: from Friday evening to Tuesday morning.
LONGEST_OUTAGE_S = 84 * 3600.0


def read_window(effect: Effect) -> float:
    """For how long the receiver of an effect knows a key, in seconds."""
    return effect.window or USUAL_WINDOW_S


@dataclass(frozen=True)
class Age:
    """What became of a keyed effect whose message came back once. `seconds`: from the first attempt
    to the delivery that repeats it; where none does, to the second delivery.
    """

    effect: str
    seconds: float
    is_repeated: bool


def find_age(history: History) -> Age | None:
    """The age of a schedule in which one death came after the effect and one message came back;
    None of any other, and where it did not come to an end.
    """
    schedule = history.schedule
    if schedule.family != "late-back" or schedule.moves[1:] != ("redeliver",):
        return None
    return _read_age(history)


def _read_age(history: History) -> Age | None:
    """What the deliveries after a first one did that died after a keyed effect: the second may put
    the job off, for quiet hours or a lease, and a later one repeats the effect.
    """
    faults = history.schedule.faults
    if len(faults) != 1 or history.hung or history.pending or len(history.runs) < 2:
        return None
    effect = faults[0].at.removeprefix("after:").removesuffix("#1")
    calls = history.performed(effect)
    if not calls:
        return None
    first, *later = history.runs
    for run in later:
        if run.performs(effect):
            return Age(effect, run.clock - first.clock, is_repeated=True)
    return Age(effect, later[0].clock - first.clock, is_repeated=False)


def find_kept_back(histories: Iterable[History]) -> dict[str, float]:
    """See `Reference.kept_back`: effects that are repeated soon after a death, and are not when the
    message comes later than that. What keeps them back is how old the first attempt is.
    """
    late: dict[str, float] = {}
    soon: dict[str, float] = {}
    for history in histories:
        if history.schedule.family == "kill":
            age = _read_age(history)
            if age is not None and age.is_repeated:
                soon[age.effect] = min(age.seconds, soon.get(age.effect, age.seconds))
        age = find_age(history)
        if age is not None and not age.is_repeated:
            late[age.effect] = min(age.seconds, late.get(age.effect, age.seconds))
    return {name: seconds for name, seconds in late.items() if soon.get(name, seconds) < seconds}


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where an effect took place, its process died, and nothing but the receiver knew
    of it; and where the message comes back later than the job is of use.
    """
    yield from _judge_delay(history, reference)
    if history.schedule.family != "late-back" or history.hung:
        return
    for effect in reference.effects:
        if effect.promise == "keyed":
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
        what = "the next tick comes" if reference.facts.ticks else "the message comes back"
        said = (
            f"{effect.name} takes place a second time when {what} {hours:.0f} h"
            " after a death: its receiver has forgotten the key"
        )
        refused = reference.kept_back.get(effect.name)
        if refused is not None:
            said += (
                f"; the application itself keeps it back when it comes after {refused / 3600:.0f} h"
                " (other schedules of the proof show that: this one by itself does not know it, and"
                " its grade may be another)"
            )
        yield name_risk(
            PASSED,
            _choose_grade(reference, effect, call, clock - began),
            said,
            effect=effect.name,
            events=(earlier.number, call.number),
            expected="one call, or a person who looks",
            seen="two calls",
        )
        return


def _choose_grade(reference: Reference, effect: Effect, call: Event, age_s: float) -> RiskGrade:
    """How bad it is that an effect takes place a second time.

    Where the application has been seen to keep it back at a lesser age, it has said itself that it
    must not be, and reckons the age wrongly.

    A long weekend without a worker is to be reckoned with: a bad deploy on Friday, a holiday on
    Monday. A receiver that is known to have forgotten a key by then, and is told an amount, pays
    twice. So does any receiver where
    the broker itself, or the delay that the spec accepts, is as long as the window. A usual window
    that nobody declared is a guess, and a second mail a nuisance.
    """
    if reference.kept_back.get(effect.name, age_s) < age_s:
        return RiskGrade.MONEY
    window = read_window(effect)
    forgets = effect.window is not None and window <= LONGEST_OUTAGE_S
    if forgets and read_amounts(call):
        return RiskGrade.MONEY
    if max(reference.acceptable_delay, reference.facts.redelivery_s) >= window:
        return RiskGrade.MONEY
    return RiskGrade.MINOR
