"""Deliveries in one process end as those that share none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from skillrun.proof.history import Event, History
from skillrun.proof.judges.effects import strip_numbers
from skillrun.proof.reference import REFUTED, Judgement, Reference

_SHOWN = 200  # characters of a value in a message


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Nothing that a worker keeps in memory may change what a job comes to."""
    apart = reference.apart
    if apart is None or apart.hung or history.hung:
        return
    for what, seen, wanted in _pair_outcomes(history, apart, reference):
        if seen != wanted:
            said = (
                "a delivery in a process that has run another one ends otherwise than in a fresh"
                f" one: {what}"
            )
            yield Judgement(
                REFUTED,
                "process.remembers",
                said,
                expected=_show_value(wanted),
                seen=_show_value(seen),
            )
            return


def _pair_outcomes(
    history: History, apart: History, reference: Reference
) -> Iterator[tuple[str, Any, Any]]:
    """(what, as in one process, as in several)."""
    for effect in reference.effects:
        tell = _choose_words(effect.name, reference)
        seen, wanted = history.performed(effect.name), apart.performed(effect.name)
        yield effect.name, _list_calls(seen, tell), _list_calls(wanted, tell)
        # The receiver of a keyed effect drops a repetition, unless it has had time to forget.
        if effect.guarantee == "convergent":
            continue
        if effect.guarantee != "keyed" or history.schedule.waits:
            more = seen[len(wanted) :]
            yield effect.name, [f"once more: {call['args']}" for call in more], []
    for name in history.state:
        if name not in reference.volatile:
            yield name, history.state[name], apart.state.get(name)
    yield "dead letters", history.dead_letters, apart.dead_letters


def _choose_words(effect: str, reference: Reference) -> Callable[[Event], str]:
    """As much of a call as two single runs, in two processes, have in common: all of its arguments,
    these without times and random values, or that it took place.
    """
    if reference.later is None:
        return _read_arguments
    once, later = reference.calls(effect), reference.later.performed(effect)
    for tell in (_read_arguments, strip_numbers):
        if _list_calls(once, tell) == _list_calls(later, tell):
            return tell
    return lambda call: effect


def _read_arguments(call: Event) -> str:
    return f"{call['args']}"


def _list_calls(calls: tuple[Event, ...], tell: Callable[[Event], str]) -> list[str]:
    """Which calls took place, however often."""
    return sorted(set(map(tell, calls)))


def _show_value(value: Any) -> str:
    text = repr(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value) or "no call"
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}…"
