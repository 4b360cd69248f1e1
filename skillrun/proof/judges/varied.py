"""Whether payloads that differ in a key field call a keyed effect with different keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.unknowns import judge_undeclared
from skillrun.proof.reference import Reference
from skillrun.proof.varied import VARIED, name_varied_field

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

# Letters below which a value that a key contains may be there by chance.
_SHORT = 4
_WORD = re.compile(r"\w+")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Refutes keys that two payloads share, and says incomplete for undeclared effects. What a
    payload that nobody gave comes to otherwise is its own affair.
    """
    for delivery in history.runs:
        yield from judge_undeclared(delivery, reference, history)
    for effect in _find_keyed_effects(reference):
        yield from _judge_shared_keys(history, reference, effect)


def _find_keyed_effects(reference: Reference) -> Iterator[Effect]:
    """Yields the keyed effects whose argument for the key is known."""
    for effect in reference.effects:
        if effect.promise == "keyed" and effect.key_arg is not None:
            yield effect


def count_reached(history: History, reference: Reference) -> dict[str, int]:
    """Keyed effect -> how many of the varied payloads came to it."""
    found: dict[str, int] = {}
    for effect in _find_keyed_effects(reference):
        found[effect.name] = 0
        for run in history.runs:
            if run.job >= VARIED and any(_find_keyed_calls(run.all("performed"), effect)):
                found[effect.name] += 1
    return found


def _find_keyed_calls(events: Iterator[Event], effect: Effect) -> Iterator[Event]:
    """Yields the calls of an effect that have a key."""
    for event in events:
        if event["effect"] == effect.name and event["key"] is not None:
            yield event


def _judge_shared_keys(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Refutes the first two payloads that share a key. Only those are compared that vary in the
    same field: all else in them is the same.
    """
    known: dict[tuple[str | None, str], tuple[int, Event]] = {}
    for run in history.runs:
        field = _find_varied_field(history, reference, run.job)
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
    """(job, call) that has the key already: of a payload that varies in the same field, or of the
    example itself; None where none has.
    """
    return known.get((field, key)) or known.get((None, key))


def _find_varied_field(history: History, reference: Reference, job: int) -> str | None:
    """The key field in which the payload of a job was varied; None for the example itself."""
    if job not in history.payloads:
        return None
    return name_varied_field(reference.spec, history.payloads[job])


def _may_be_copied(history: History, jobs: tuple[int, int], key: str) -> bool:
    """Whether the rows that were copied for the payloads may be why their keys are the same.

    A key that is made of nothing but copied values is the example's own key.
    """
    if 0 in jobs and any(job in history.cloned for job in jobs):
        return True
    words = set(_WORD.findall(key))
    values = {*history.cloned.get(jobs[0], ()), *history.cloned.get(jobs[1], ())}
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
    """The refutation of two payloads that share a key. `jobs`, `calls`: of both of them."""
    payloads = [history.payloads.get(job, _read_example(reference)) for job in jobs]
    key = calls[0]["key"]
    said = (
        f"two distinct jobs call {effect.name} with the same key: {payloads[0]} and {payloads[1]}"
        f" have {key}"
    )
    numbers = (calls[0].number, calls[1].number)
    return Judgement(
        Verdict.REFUTED,
        "effect.key-of-two-jobs",
        said,
        effect.name,
        numbers,
        "a key for each job",
        key,
    )


def _read_example(reference: Reference) -> Any:
    """The payload that the others were made of."""
    return reference.spec.examples[0]
