"""Distinct keys in, distinct keys out: payloads that differ in a key field call a keyed effect with
other keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.proof.history import Event, History
from skillrun.proof.judges.unknowns import undeclared
from skillrun.proof.reference import REFUTED, Judgement, Reference
from skillrun.proof.varied import VARIED, varied_field

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

# Letters below which a value that a key contains may be there by chance.
_SHORT = 4
_WORD = re.compile(r"\w+")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """What a payload that nobody gave comes to is its own affair, but for its keys and for what it
    does undeclared.
    """
    for delivery in history.runs:
        yield from undeclared(delivery, reference, history)
    for effect in _find_keyed_effects(reference):
        yield from _judge_shared_keys(history, reference, effect)


def _find_keyed_effects(reference: Reference) -> Iterator[Effect]:
    for effect in reference.effects:
        if (effect.guarantee or "keyed") == "keyed" and effect.key_arg is not None:
            yield effect


def count_reached(history: History, reference: Reference) -> dict[str, int]:
    """Keyed effect -> how many of the varied payloads came to it."""
    runs = [run for run in history.runs if run.job >= VARIED]
    found: dict[str, int] = {}
    for effect in _find_keyed_effects(reference):
        came = [run for run in runs if any(_find_keyed_calls(run.all("performed"), effect))]
        found[effect.name] = len(came)
    return found


def _find_keyed_calls(events: Iterator[Event], effect: Effect) -> Iterator[Event]:
    for event in events:
        if event["effect"] == effect.name and event["key"] is not None:
            yield event


def _judge_shared_keys(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """The first two that share a key. Of those that vary in the same field all else is the same."""
    known: dict[tuple[str | None, str], tuple[int, Event]] = {}
    for run in history.runs:
        field = _field_of(history, reference, run.job)
        for call in _find_keyed_calls(run.all("performed"), effect):
            key = call["key"]
            holder = _find_holder(known, field, key)
            if holder is None:
                known[field, key] = run.job, call
                continue
            other_job, other_call = holder
            jobs = other_job, run.job
            if other_job != run.job and not _may_be_copied(history, jobs, key):
                yield _say_shared_key(history, reference, effect, jobs, (other_call, call))
                return


def _find_holder(
    known: dict[tuple[str | None, str], tuple[int, Event]], field: str | None, key: str
) -> tuple[int, Event] | None:
    """Whoever has the key already: one that varies in the same field, or the example itself."""
    return known.get((field, key)) or known.get((None, key))


def _field_of(history: History, reference: Reference, job: int) -> str | None:
    """None: it is the example itself."""
    if job not in history.payloads:
        return None
    return varied_field(reference.spec, history.payloads[job])


def _may_be_copied(history: History, jobs: tuple[int, int], key: str) -> bool:
    """Whether the rows that were copied for the payloads may be why their keys are the same.

    A key that is made of nothing but copied values is the example's own key.
    """
    if 0 in jobs and any(job in history.cloned for job in jobs):
        return True
    words = set(_WORD.findall(key))
    values = {value for job in jobs for value in history.cloned.get(job, ())}
    for value in values:
        is_part = len(value) >= _SHORT and value in key
        if value and (value in words or is_part):
            return True
    return False


def _say_shared_key(
    history: History,
    reference: Reference,
    effect: Effect,
    jobs: tuple[int, int],
    calls: tuple[Event, Event],
) -> Judgement:
    payloads = [history.payloads.get(job, _read_example(reference)) for job in jobs]
    key = calls[0]["key"]
    said = (
        f"two distinct jobs call {effect.name} with the same key: {payloads[0]} and {payloads[1]}"
        f" have {key}"
    )
    numbers = (calls[0].number, calls[1].number)
    return Judgement(
        REFUTED, "effect.key-of-two-jobs", said, effect.name, numbers, "a key for each job", key
    )


def _read_example(reference: Reference) -> Any:
    return reference.spec.examples[0]
