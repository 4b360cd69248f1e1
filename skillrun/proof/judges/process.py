"""Deliveries in one process end as those that share none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillrun.proof.history import History
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
        yield effect.name, _list_calls(history, effect.name), _list_calls(apart, effect.name)
        # The receiver of a keyed effect drops a repetition, unless it has had time to forget.
        if effect.guarantee != "keyed" or history.schedule.waits:
            more = history.performed(effect.name)[len(apart.performed(effect.name)) :]
            yield effect.name, [f"once more: {call['args']}" for call in more], []
    for name in history.state:
        if name not in reference.volatile:
            yield name, history.state[name], apart.state.get(name)
    yield "dead letters", history.dead_letters, apart.dead_letters


def _list_calls(history: History, effect: str) -> list[str]:
    """Which calls took place, however often."""
    return sorted({f"{call['args']}" for call in history.performed(effect)})


def _show_value(value: Any) -> str:
    text = repr(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value) or "no call"
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}…"
