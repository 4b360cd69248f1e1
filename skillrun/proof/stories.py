"""The histories of a proof that a ledger keeps: every refutation, and one schedule that held of
each family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skillrun.core.text import masked, visible
from skillrun.proof.cause import find_cause
from skillrun.proof.judgement import Verdict
from skillrun.proof.story import tell_story

if TYPE_CHECKING:
    from skillrun.proof.result import Proof, Tried, Witness

MOST = 24  # histories; a story has at most 60 steps
_SHOWN = 500


def stories(proof: Proof) -> list[dict[str, Any]]:
    """JSON values: `schedule`, `family`, `refuted`, `rule`, `message`, `cause`, `expected`, `seen`,
    `steps`.

    A step has `number`, `at_s` (virtual seconds), `process`, `text`, `kind` (of its event), `path`,
    `line`.
    """
    refuted = [_tell_refutation(witness) for witness in proof.witnesses]
    held = [_tell_history(tried) for tried in _choose_one_a_family(proof)]
    return [*refuted, *held][:MOST]


def _choose_one_a_family(proof: Proof) -> list[Tried]:
    """Of each family the schedule under which most effects took place, of those against which
    nobody said anything.
    """
    found: dict[str, Tried] = {}
    for tried in proof.tried:
        if any(judgement.verdict != Verdict.HINT for judgement in tried.judgements):
            continue
        best = found.setdefault(tried.schedule.family, tried)
        if len(tried.history.performed()) > len(best.history.performed()):
            found[tried.schedule.family] = tried
    return list(found.values())


def _tell_refutation(witness: Witness) -> dict[str, Any]:
    judgement, tried = witness.judgement, witness.tried
    said = {
        "rule": judgement.rule,
        "message": judgement.message,
        "cause": find_cause(tried.history, judgement),
        "expected": judgement.expected,
        "seen": judgement.seen,
    }
    shown = {name: _show_text(text) for name, text in said.items()}
    return {**_tell_history(tried), "refuted": True, **shown}


def _tell_history(tried: Tried) -> dict[str, Any]:
    nothing = dict.fromkeys(("rule", "message", "cause", "expected", "seen"))
    schedule = tried.schedule
    return {
        "schedule": str(schedule),
        "family": schedule.family,
        "refuted": False,
        **nothing,
        "steps": [_make_step(step) for step in tell_story(tried.history)],
    }


def _make_step(step: Any) -> dict[str, Any]:
    path, line = step.place or (None, None)
    return {
        "number": step.number,
        "at_s": round(step.at_s, 1),
        "process": step.process,
        "text": step.text,
        "kind": step.kind,
        "path": visible(path) if path else None,
        "line": line,
    }


def _show_text(text: str) -> str:
    return visible(masked(text), limit=_SHOWN)
