"""When is a stage done? When its latest pass has the current fingerprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.core.canonical import digest
from skillrun.core.resources import tool_version
from skillrun.core.verdict import Status
from skillrun.repo.tree import Lookup, name_differences
from skillrun.runner.case import Case
from skillrun.runner.coded import Stage
from skillrun.runner.plugins import plugin_version

_BASIS_WORDS = {
    "skill": "SKILL.md",
    "version": "skillrun itself",
    "code": "the plug-in's code",
    "attested": "the attestation",
}
_DONE = (Status.PASSED, Status.NOT_APPLICABLE)


@dataclass(frozen=True)
class Staleness:
    """What has changed under a stage since its latest result: file paths, spec parts, or the skill
    itself.
    """

    reasons: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        return bool(self.reasons)


def spec_parts(case: Case, stage: Stage[Any]) -> dict[str, str]:
    """Part of the spec -> sha256 of its canonical JSON."""
    raw = case.spec.raw if case.spec else {}
    return {part: digest(raw.get(part)) for part in stage.READS}


def basis(case: Case, stage: Stage[Any]) -> dict[str, Any]:
    """All that a stage rests on besides its look-ups."""
    said = case.attestations.get(stage.ID)
    attested = None
    if said:
        attested = [said.statement, dict(said.evidence)]
    return {
        "skill": case.skill.sha256,
        "spec": spec_parts(case, stage),
        "version": tool_version(),
        "code": plugin_version(case.skill.name),
        "attested": attested,
    }


def fingerprint(stage_id: str, rests_on: Mapping[str, Any], lookups: Iterable[Lookup]) -> str:
    """sha256 over skill, spec parts, versions and every look-up, also those that found nothing."""
    answers = sorted((lookup.kind, lookup.name, lookup.digest) for lookup in lookups)
    return digest({"stage": stage_id, "on": rests_on, "lookups": answers})


def is_done(case: Case, stage: Stage[Any], event: Mapping[str, Any] | None) -> bool:
    """The latest result passed and nothing that it rests on has changed."""
    if (
        event is None
        or event["outcome"] not in _DONE
        or not is_settled(event["data"]["result"]["facts"])
    ):
        return False
    return not staleness(case, stage, event).stale


def is_settled(facts: Mapping[str, Any]) -> bool:
    """Whether another look at the same files would find the same; a stage that ran something may
    say no.
    """
    return bool(facts.get("settled", True))


def staleness(case: Case, stage: Stage[Any], event: Mapping[str, Any]) -> Staleness:
    """Why the result of an event no longer counts; empty where it does."""
    data = event["data"]
    before, now = data["basis"], basis(case, stage)
    reasons = []
    for key, words in _BASIS_WORDS.items():
        # An event of an older skillrun says nothing of a plug-in's code: there were none.
        if before.get(key, "") != now[key]:
            reasons.append(words)
    parts = before["spec"].keys() | now["spec"].keys()
    for part in sorted(parts):
        if before["spec"].get(part) != now["spec"].get(part):
            reasons.append(f"spec: {part}")
    for lookup in map(Lookup.from_json, data["lookups"]):
        reasons += name_differences(lookup, case.tree.repeat(lookup, survey=case.section))
    return Staleness(tuple(dict.fromkeys(reasons)))
