"""What neither the code nor a test says, and one run of the job shows: whether an error passes, and
whether an effect is left out after a death.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.proof.result import Proof
    from skillrun.skills.job_worker.drafting.draft import Draft

_MOST = 4  # errors that are tried: each takes a second or two


def classify_errors(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """Sorts the errors of which nothing is known by what the job does after each of them.

    An error of a module that no effect comes from is raised by the handler itself: no effect raises
    it. `prove` runs one schedule. Returns whether the draft is another one now.
    """
    failures: dict[str, Any] = draft.values.get("failures", {})
    effects: list[dict[str, Any]] = draft.values.get("effects", [])
    tried = 0
    for error in draft.unsure:
        effect = _find_effect(error, effects)
        if _find(failures, error) < 0:
            continue
        if effect is None:
            failures["permanent"][_find(failures, error)] = {"type": error, "effects": []}
        elif tried < _MOST:
            # What they do decides the verdict, so that it is said.
            tried += 1
            if _is_tried_again(prove(f"raise={error}@before:{effect['name']}#1")):
                failures["transient"].append(failures["permanent"].pop(_find(failures, error)))
                said = f"failures: {error} is transient: the job was tried again after it"
            else:
                said = f"failures: {error} is permanent: the job was not tried again after it"
            draft.guesses.append(said)
        else:
            draft.guesses.append(f"failures: {error} is permanent, as most errors are")
    return bool(draft.unsure)


def classify_effects(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """An effect without a key that a death keeps from taking place takes place at most once: the
    job takes it for done before it does it. Returns whether the draft is another one now.
    """
    is_other = False
    for effect in draft.values.get("effects", [])[:_MOST]:
        if effect.get("guarantee") != "at_least_once":
            continue
        name = effect["name"]
        proof = prove(f"kill@before:{name}#1 lose re-enqueue")
        if _is_left_out(proof, name):
            effect["guarantee"] = "at_most_once"
            draft.guesses.append(
                f"effects: {name}: at_most_once: after a death before it, nothing does it"
            )
            is_other = True
    return is_other


def _is_left_out(proof: Proof, name: str) -> bool:
    for tried in proof.tried:
        history = tried.history
        if tried.schedule.faults and any(run.died for run in history.runs):
            done = [event for event in history.events if event.kind == "performed"]
            return not any(event["effect"] == name for event in done)
    return False


def _find_effect(error: str, effects: list[dict[str, Any]]) -> dict[str, Any] | None:
    home = error.partition(":")[0]
    for effect in effects:
        if effect["call"].partition(":")[0] == home:
            return effect
    return None


def _find(failures: dict[str, Any], error: str) -> int:
    """Its place among the permanent ones; -1 where a test has shown that it passes."""
    for number, listed in enumerate(failures["permanent"]):
        if listed == error or (isinstance(listed, dict) and listed["type"] == error):
            return number
    return -1


def _is_tried_again(proof: Proof) -> bool:
    """Whether the job came to its handler a second time, without a death in between."""
    return any(tried.schedule.faults and len(tried.history.runs) > 1 for tried in proof.tried)
