"""The histories of a proof that a ledger keeps: every refutation, and one schedule that held of
each family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skillrun.proof.cause import cause
from skillrun.proof.reference import HINT
from skillrun.proof.story import story
from skillrun.text import masked, visible

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
    refuted = [_refuted(witness) for witness in proof.witnesses]
    return [*refuted, *(_told(tried) for tried in _one_a_family(proof))][:MOST]


def _one_a_family(proof: Proof) -> list[Tried]:
    """Of each family the schedule under which most effects took place, of those against which
    nobody said anything.
    """
    found: dict[str, Tried] = {}
    for tried in proof.tried:
        if any(judgement.verdict != HINT for judgement in tried.judgements):
            continue
        best = found.setdefault(tried.schedule.family, tried)
        if len(tried.history.performed()) > len(best.history.performed()):
            found[tried.schedule.family] = tried
    return list(found.values())


def _refuted(witness: Witness) -> dict[str, Any]:
    judgement, tried = witness.judgement, witness.tried
    said = {
        "rule": judgement.rule,
        "message": judgement.message,
        "cause": cause(tried.history, judgement),
        "expected": judgement.expected,
        "seen": judgement.seen,
    }
    return {**_told(tried), "refuted": True, **{name: _shown(text) for name, text in said.items()}}


def _told(tried: Tried) -> dict[str, Any]:
    nothing = dict.fromkeys(("rule", "message", "cause", "expected", "seen"))
    schedule = tried.schedule
    return {
        "schedule": str(schedule),
        "family": schedule.family,
        "refuted": False,
        **nothing,
        "steps": [_step(step) for step in story(tried.history)],
    }


def _step(step: Any) -> dict[str, Any]:
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


def _shown(text: str) -> str:
    return visible(masked(text), limit=_SHOWN)
