"""What the receiver of an effect does: it never answers, is away, or repeats what it was told."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.families import errors
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.schedule import EVERY, Fault, Schedule


@family("effect-hangs", "no effect is stood in for")
def effect_hangs(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The real call of each effect, once to somebody who is never reached and once to somebody who
    takes it and never answers: many a call limits the first wait alone; and the library's time
    limit, which may be over while any call is waited for, whatever its own time-out is.
    """
    limit = situation.facts.limit_error
    for effect in situation.effects:
        at = f"before:{effect.name}#1"
        if effect.mode != "pass_through":
            yield Schedule("effect-hangs", (Fault("hang", at),))
            yield Schedule("effect-hangs", (Fault("silent", at),))
        if limit:
            yield Schedule("effect-hangs", (Fault("cut", at, error=limit),))


_OUT_OF_SERVICE = "503"  # the answer that every client has to take for one that passes


@family("receiver-away", "no effect is stood in for")
def receiver_away(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The real call of each effect, once, to somebody who is not there, who hangs up, and who is
    out of service: what its adapter makes of that is what the job meets in production.
    """
    for effect in situation.effects:
        if effect.mode == "pass_through":
            continue
        at = f"before:{effect.name}#1"
        yield Schedule("receiver-away", (Fault("refuse", at),))
        yield Schedule("receiver-away", (Fault("hang-up", at),))
        yield Schedule("receiver-away", (Fault("answer", at, error=_OUT_OF_SERVICE),))


@family("secret-echoed", "no effect that can fail is called with a secret")
def secret_echoed(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A permanent and a transient error of each effect that is called with a secret, whose text
    tells it: each way of giving a job up may have a record of its own.
    """
    failures = situation.spec.failures
    if failures is None:
        return
    kinds = (
        errors.number_errors(failures.permanent, failures.transient),
        errors.number_errors(failures.transient),
    )
    for name in situation.given:
        for numbered in kinds:
            fault = _find_plain_error(situation, name, numbered)
            if fault is not None:
                yield Schedule("secret-echoed", (fault,), echo=True)


def _find_plain_error(situation: Situation, effect: str, numbered: errors.Numbered) -> Fault | None:
    """The first that the effect can raise. One that has arguments of its own says what these
    say.
    """
    for error, index in numbered:
        has_own_text = bool(error.args or error.kwargs or error.factory)
        if situation.can_raise(f"{effect}#1", error) and not has_own_text:
            return Fault("raise", f"before:{effect}#*", EVERY, error.type, index)
    return None
