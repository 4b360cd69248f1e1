"""Whether deliveries that share a process end as those that do not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.effect_arguments import strip_numbers
from skillrun.proof.reference import Reference, was_met

_SHOWN = 200  # characters of a value in a message
# A UUID or a token; what is shorter may repeat by chance.
_RANDOM = re.compile(r"[0-9A-Za-z_-]{16,}")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that nothing that a worker keeps in memory changes what a job comes to."""
    apart = reference.apart
    if apart is None or apart.hung or history.hung or not was_met(history):
        return
    for what, seen, wanted in _pair_outcomes(history, apart, reference):
        if seen != wanted:
            if history.schedule.beside is not None:
                said = f"two jobs at once in one process end otherwise than in two: {what}"
            else:
                said = (
                    "a delivery in a process that has run another one ends otherwise than in a"
                    f" fresh one: {what}"
                )
            yield Judgement(
                Verdict.REFUTED,
                "process.remembers",
                said,
                expected=_show_value(wanted),
                seen=_show_value(seen),
            )
            return


def _pair_outcomes(
    history: History, apart: History, reference: Reference
) -> Iterator[tuple[str, Any, Any]]:
    """Yields what is compared: its name, what it was in one process, and what it was in several."""
    for effect in reference.effects:
        tell = _choose_words(effect.name, reference)
        seen, wanted = history.performed(effect.name), apart.performed(effect.name)
        in_one = _list_known(history, effect.name, tell)
        yield effect.name, in_one, _list_known(apart, effect.name, tell)
        # The receiver of a keyed effect drops a repetition, unless it has had time to forget.
        if effect.guarantee == "convergent":
            continue
        if effect.promise != "keyed" or history.schedule.waits:
            more = seen[len(wanted) :]
            yield effect.name, [f"once more: {call['args']}" for call in more], []
    given = " ".join(map(repr, history.payloads.values()))
    for name, rows in history.state.items():
        if name not in reference.volatile:
            alone = apart.state.get(name)
            yield name, _forget_random(repr(rows), given), _forget_random(repr(alone), given)
    yield "dead letters", history.dead_letters, apart.dead_letters


def _choose_words(effect: str, reference: Reference) -> Callable[[Event], str]:
    """A function that tells as much of a call as two single runs, in two processes, have in common:
    all of its arguments, these without times and random values, or that it took place.
    """
    if reference.later is None:
        return _read_arguments
    once, later = reference.calls(effect), reference.later.performed(effect)
    for tell in (_read_arguments, strip_numbers):
        if _list_calls(once, tell) == _list_calls(later, tell):
            return tell
    return lambda call: effect


def _read_arguments(call: Event) -> str:
    """The arguments of a call, as text."""
    return f"{call['args']}"


def _list_calls(calls: tuple[Event, ...], tell: Callable[[Event], str]) -> list[str]:
    """What `tell` says of each call, however often it was made."""
    return sorted(set(map(tell, calls)))


def _list_known(history: History, effect: str, tell: Callable[[Event], str]) -> list[str]:
    """What `tell` says of each call of an effect, without random values that were made for this
    call alone: what is neither given to another job nor said by a call for one is no memory.
    """
    found: set[str] = set()
    for call in history.performed(effect):
        others = _tell_of_others(history, history.delivery_of(call).job)
        found.add(_forget_random(tell(call), others))
    return sorted(found)


def _forget_random(text: str, known: str) -> str:
    """A text without what looks random in it and does not stand in `known`."""

    def hide_random(found: re.Match[str]) -> str:
        token = found[0]
        is_mixed = any(map(str.isdigit, token)) and any(map(str.isalpha, token))
        if is_mixed and token not in known:
            return "#"
        return token

    return _RANDOM.sub(hide_random, text)


def _tell_of_others(history: History, job: int) -> str:
    """What the other jobs were given, and what their calls say."""
    told = [repr(payload) for number, payload in history.payloads.items() if number != job]
    for call in history.performed():
        if history.delivery_of(call).job != job:
            told.append(f"{call['args']} {call['key']}")
    return " ".join(told)


def _show_value(value: Any) -> str:
    """A value as a message shows it, cut off where it is long."""
    text = repr(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value) or "no call"
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}…"
