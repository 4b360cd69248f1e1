"""Whether a call has the arguments of the single run: what a receiver keeps is what the first call
said.

Numbers and ids in a text may rightly differ from run to run; amounts and flags may not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

# Arguments that count attempts, or name a row or a time: two correct runs may differ in them.
_COUNTING = re.compile(
    r"(?:^|_)(?:attempts?|try|tries|retr(?:y|ies)|retried|again|redelivered|first|last|final|count|number|no|nr|num|seq|sequence|"
    r"version|revision|id|pk|row|rowid|index|position|offset|time|timestamp|ts|at|now|day|date|hour|minute|seconds?|ms|"
    r"delay|timeout|ttl|expires?|age|elapsed|duration|left|remaining|nonce|seed|random|pid|port|worker)(?:_|$)",
    re.IGNORECASE,
)
# Ids, hashes, UUIDs, flags and numbers in the text of a call.
_NUMBERS = re.compile(
    r"\b(?:[0-9a-f]{8,}|True|False)\b|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", re.IGNORECASE
)


def judge_arguments_of_key(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the first call of a key, which its receiver keeps, says what the single run
    says.
    """
    later = reference.later
    if later is None or not _is_comparable(history):
        return
    wanted = _index_first_calls(reference.expected(history, effect.name))
    again = _index_first_calls(later.performed(effect.name))
    for key, call in again.items():
        if key in wanted and strip_numbers(wanted[key]) != strip_numbers(call):
            return  # it differs between two single runs
    for key, call in _index_first_calls(history.performed(effect.name)).items():
        if key not in wanted:
            continue
        other = find_other_value(call, wanted[key], again.get(key, wanted[key]))
        # With several jobs the numbers in a call may be those of the other one's rows.
        is_other_value = bool(other) and not history.schedule.jobs
        if is_other_value or strip_numbers(call) != strip_numbers(wanted[key]):
            said = (
                f"{effect.name} takes place with other arguments than in a single run, and its"
                " receiver keeps these"
            )
            yield refute_arguments(effect, f"{said}{other}", call, wanted[key])
            return


def _index_first_calls(calls: Iterable[Event]) -> dict[str, Event]:
    """Key -> the first call that has it."""
    found: dict[str, Event] = {}
    for call in calls:
        found.setdefault(call["key"], call)
    return found


def judge_arguments_without_key(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks, for an effect without a key, that for each call of the single run there is one that
    says the same.
    """
    later = reference.later
    if later is None or not _is_comparable(history) or history.schedule.jobs:
        return
    calls, expected = history.performed(effect.name), reference.calls(effect.name)
    if len(calls) < len(expected):
        return
    second = later.performed(effect.name)
    usual = Counter(map(strip_numbers, expected))
    if usual != Counter(map(strip_numbers, second)):
        return  # it differs between two single runs
    for wanted, again in zip(expected, second, strict=True):
        if any(_says_the_same(call, wanted, again) for call in calls):
            continue
        other = _find_unusual_call(calls, usual)
        said = (
            f"{effect.name} takes place with other arguments than in a single run, and never"
            " with those"
        )
        yield refute_arguments(effect, said, other, wanted)
        return


def _find_unusual_call(calls: tuple[Event, ...], usual: Collection[str]) -> Event:
    """The first call that says what no call of the single run says; else the first of all."""
    for call in calls:
        if strip_numbers(call) not in usual:
            return call
    return calls[0]


def _says_the_same(call: Event, wanted: Event, again: Event) -> bool:
    """Whether a call says what the single run says. `wanted`, `again`: that run's call, and the
    same call when it was run a second time.
    """
    if strip_numbers(call) != strip_numbers(wanted):
        return False
    return not find_other_value(call, wanted, again)


def _is_comparable(history: History) -> bool:
    """Whether arguments must be those of the single run: not in another interpreter, or on another
    day.
    """
    return not (history.schedule.fresh or history.schedule.midnight or history.schedule.waits)


def refute_arguments(effect: Effect, said: str, call: Event, wanted: Event) -> Judgement:
    """The refutation of a call whose arguments are not those that were wanted."""
    return Judgement(
        Verdict.REFUTED,
        "effect.other-arguments",
        said,
        effect=effect.name,
        events=(call.number,),
        expected=wanted["args"],
        seen=call["args"],
    )


def strip_numbers(call: Event) -> str:
    """What a call says without the numbers in it, which count, or name a row or a time."""
    # A text that was cut off ends with "…": what follows counts what was left out.
    return _NUMBERS.sub("#", str(call["subject"]).partition("…")[0])


def find_other_value(call: Event, wanted: Event, again: Event) -> str:
    """An amount or a flag on which two single runs agree and this call does not, as text that a
    message goes on with: ": cents=1000 and not 700"; "" where there is none.
    """
    first = wanted["plain"] or {}
    second = again["plain"] or {}
    seen = call["plain"] or {}
    for name in first:
        if name not in seen or _COUNTING.search(name):
            continue
        # What two single runs say differently is no fixed amount.
        if seen[name] != first[name] == second.get(name):
            return f": {name}={seen[name]} and not {first[name]}"
    return ""
