"""An effect that took place too often, or not at all: what every guarantee speaks of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference, is_kept

if TYPE_CHECKING:
    from skillrun.contract.job import Effect


def judge_repeated(
    history: History, reference: Reference, effect: Effect, undone: Collection[int] = ()
) -> Iterator[Judgement]:
    """Checks that an effect took place no more often than in the single run. `undone`: the numbers
    of calls that a rollback has taken back.
    """
    expected = reference.expected(history, effect.name)
    calls = tuple(call for call in history.performed(effect.name) if call.number not in undone)
    if len(calls) > len(expected):
        said = f"{effect.name} took place {len(calls)} times"
        yield Judgement(
            Verdict.REFUTED,
            "effect.repeated",
            said,
            effect=effect.name,
            events=tuple(call.number for call in calls),
            expected=f"{len(expected)}",
            seen=f"{len(calls)}",
        )


def judge_lost(
    history: History, reference: Reference, effect: Effect, expected: int, seen: int
) -> Iterator[Judgement]:
    """Refutes an effect that took place `seen` times instead of `expected`, unless its job is in
    the dead letters, or was lost as the library or the spec has it: that is said elsewhere, and
    not blamed.
    """
    if is_kept(history, reference) or reference.allows_loss(history):
        return
    said = f"{effect.name} took place only in part"
    if not seen:
        said = f"{effect.name} did not take place"
    yield Judgement(
        Verdict.REFUTED,
        "effect.lost",
        f"{said}, and nothing is left that would do it",
        effect=effect.name,
        expected=f"{expected}",
        seen=f"{seen}",
    )
