"""May the library acknowledge a job once it is done, and not when it begins? Asked of a proof in
which it does so, and in which deaths alone were tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.core.text import masked, visible
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges.unpromised import PROMISES
from skillrun.proof.reference import Reference

if TYPE_CHECKING:
    from skillrun.proof.result import Proof, Target, Tried

YES, NO, UNKNOWN, ALREADY = "yes", "no", "unknown", "already"
EXIT_CODES = {YES: 0, NO: 1, UNKNOWN: 3}
_ANSWERED = {Verdict.PROVED: YES, Verdict.REFUTED: NO, Verdict.INCOMPLETE: UNKNOWN}
# A receiver that knows the key, or a write that ends the same, sees a second time as one.
_BEARING = ("keyed", "convergent")


@dataclass(frozen=True)
class Answer:
    """`word`: yes, no, unknown, or already where it is set so."""

    word: str
    says: str

    def document(self) -> dict[str, str]:
        """As proof.v1 has it."""
        return {"answer": self.word, "says": visible(masked(self.says))}


def suppose_acks_late(target: Target) -> Target:
    """The same job, of which nothing is asked but what a death does to it."""
    return replace(target, acks_late=True, unpromised=PROMISES)


def answer_acks_late(proof: Proof, *, is_agreed: bool) -> Answer:
    """`is_agreed`: somebody has said that an effect may take place at least once; of a draft it is
    a guess.
    """
    if proof.incomplete:
        return Answer(UNKNOWN, proof.incomplete[0].message)
    if not proof.facts.made_late:
        if proof.facts.acks_late:
            return Answer(ALREADY, f"{proof.facts.library} acknowledges it once it is done")
        return Answer(UNKNOWN, f"{proof.facts.library or 'a plain function'} has no such setting")
    if proof.witnesses:
        return Answer(NO, proof.witnesses[0].judgement.message)
    repeated = None if is_agreed else _find_repeated(proof)
    if repeated is not None:
        return Answer(NO, repeated)
    tried = sum(one.schedule.kills_handler for one in proof.tried)
    said = f"{tried} schedules with a death: no effect takes place twice"
    return Answer(_ANSWERED[proof.verdict], said + _say_left_out(proof))


def _say_left_out(proof: Proof) -> str:
    """What is marked before it is done is lost with its worker, however its job is acknowledged."""
    said = ""
    for effect in proof.reference.effects if proof.reference else ():
        if effect.guarantee == "at_most_once":
            said += f"; {effect.name} may still be left out after one"
    return said


def _find_repeated(proof: Proof) -> str | None:
    """An effect that a death has take place once more, and whose receiver cannot know it again."""
    if proof.reference is None:
        return None
    for tried in proof.tried:
        if not tried.schedule.kills_handler or tried.schedule.dies_each_time:
            continue
        said = _tell_repeated(tried, proof.reference)
        if said is not None:
            return said
    return None


def _tell_repeated(tried: Tried, reference: Reference) -> str | None:
    for effect in reference.effects:
        times = len(tried.history.performed(effect.name))
        is_once_more = times > len(reference.calls(effect.name))
        if is_once_more and effect.guarantee not in _BEARING:
            at = tried.schedule.faults[0].at
            return f"killed {at.replace(':', ' ')}, {effect.name} takes place {times} times"
    return None
