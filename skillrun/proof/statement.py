"""A proof as an in-toto Statement v1 about one commit, to be signed by whoever can.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md; the predicate:
`schemas/proof-statement.v1.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skillrun import __version__
from skillrun.core.beneath import hash_file
from skillrun.core.text import masked_json
from skillrun.ledger.anchoring.intoto import STATEMENT
from skillrun.proof.report import shown

if TYPE_CHECKING:
    from skillrun.proof.result import Target

PREDICATE = "urn:skillrun:proof-statement:v1"


def build_statement(
    report: Mapping[str, Any], target: Target, commit: str, modules: Iterable[str], finished: str
) -> dict[str, Any]:
    """The statement of a whole proof. `report` is its document (proof.v1), `modules` are the
    repository's files that it imported, and `finished` is when, in UTC.

    The commit alone is its subject. A consumer compares digests and nothing else, so that a file
    among the subjects would be proved by itself, whatever stands beside it.
    """
    spec = target.spec
    predicate = {
        "verdict": report["verdict"],
        "job": report["job"],
        "handler": report["handler"],
        "library": report["library"],
        "spec": {"name": shown(spec.shown_path), "digest": {"sha256": spec.sha256}},
        "tool": {"name": "skillrun", "version": __version__},
        "finished": finished,
        "promises": report["properties"],
        "schedules": {
            **report["schedules"],
            "cut": report["cut"],
            "skipped": report["skipped"],
        },
        "bounds": report["bounds"],
        "effects": _describe_effects(report, target),
        "sandbox": {**report["sandbox"], "network": report["network"]},
        "assumptions": report["assumptions"],
        "risks": _take_each(report["risks"], "rule", "grade", "message"),
        "refutations": _take_each(report["witnesses"], "rule", "message", "schedule"),
        "incomplete": _take_each(report["incomplete"], "rule", "message"),
        "imported": _describe_files(target, modules),
    }
    if "confirmed" in report:
        predicate["confirmed"] = _take_each(report["confirmed"], "schedule", "agrees")
    return {
        "_type": STATEMENT,
        "subject": [{"name": "gitCommit", "digest": {"gitCommit": commit}}],
        "predicateType": PREDICATE,
        "predicate": masked_json(predicate),
    }


def _take_each(found: Iterable[Mapping[str, Any]], *names: str) -> list[dict[str, Any]]:
    """These members of each."""
    return [{name: one[name] for name in names} for one in found]


def _describe_effects(report: Mapping[str, Any], target: Target) -> list[dict[str, Any]]:
    """Each effect of the spec, with what stood in the place of its call."""
    found = _take_each(report["effects"], "name", "declared", "observed")
    for described, effect in zip(found, target.spec.effects or (), strict=True):
        described["call"] = shown(effect.call)
        described["called"] = effect.mode == "pass_through"
    return found


def _describe_files(target: Target, modules: Iterable[str]) -> list[dict[str, Any]]:
    """The imported files as descriptors, as in-toto calls them. A link stands for no bytes of its
    own: the file that it leads to is among the modules.
    """
    root = target.root.resolve()
    found = []
    for path in sorted(modules):
        is_link = (root / path).resolve() != root / path
        if is_link:
            continue
        digest = hash_file(target.root, path)
        found.append({"name": shown(path), "digest": {"sha256": digest}})
    return found
