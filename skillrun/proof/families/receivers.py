"""What the receiver of an effect does: it never answers, or its error repeats what it was told."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.families import errors
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.schedule import EVERY, Fault, Schedule


@family("effect-hangs", "no effect is stood in for")
def effect_hangs(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The real call of each effect, once, to somebody who never answers."""
    for effect in situation.effects:
        if effect.mode != "pass_through":
            yield Schedule("effect-hangs", (Fault("hang", f"before:{effect.name}#1"),))


@family("secret-echoed", "no effect that can fail is called with a secret")
def secret_echoed(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """One error of each effect that is called with a secret, and its text tells that. A permanent
    one where there is any: what is given up leaves a record as well as logs.
    """
    failures = situation.spec.failures
    if failures is None:
        return
    numbered = [
        *errors.number_errors(failures.permanent, failures.transient),
        *errors.number_errors(failures.transient),
    ]
    for name in situation.given:
        for error, index in numbered:
            # One that has arguments of its own says what these say.
            has_own_text = bool(error.args or error.kwargs or error.factory)
            if situation.can_raise(f"{name}#1", error) and not has_own_text:
                fault = Fault("raise", f"before:{name}#*", EVERY, error.type, index)
                yield Schedule("secret-echoed", (fault,), echo=True)
                break
