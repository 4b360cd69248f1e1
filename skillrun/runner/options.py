"""Waivers and attestations: what somebody said about an item of a run, now or in an earlier
invocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.actor import sits_at_terminal, who
from skillrun.core.errors import Misuse, Refused
from skillrun.core.opening import parse_yaml
from skillrun.runner.case import Attestation

if TYPE_CHECKING:
    from skillrun.contract.specfile import Spec
    from skillrun.core.actor import Actor
    from skillrun.repo.profile import Profile
    from skillrun.repo.tree import Tree
    from skillrun.runner.target import Request


_SPEC = "spec"


@dataclass(frozen=True)
class Waiver:
    """Somebody accepts that an item is not met, and says why."""

    item: str
    reason: str
    by: str
    source: str  # command line | spec


def check_waivers(
    given: Mapping[str, str], known: set[str], path: str, never: Mapping[str, str]
) -> None:
    """Raises Misuse for an item that is unknown, or that can never be waived, and for one without a
    reason. `never`: an item that is not waived -> what to do instead.
    """
    for item, reason in given.items():
        if item in never:
            raise Misuse(f"{path}: {item} can never be waived", hint=never[item])
        if item not in known:
            raise Misuse(
                f"{path}: nothing is called {item}",
                hint=f"what can be waived: {', '.join(sorted(known - never.keys()))}",
            )
        if not reason.strip():
            raise Misuse(f"{path}: {item}: no reason", hint="a waiver says why: ITEM=REASON")


def check_contract_risks(profile: Profile, known: Iterable[str]) -> None:
    """Raises Misuse for a risk of the profile, or of its policy, that nothing looks for: it would
    be taken for refused. A skill without a proof, which knows no risk, leaves them to others.
    """
    names = sorted(known)
    for name in profile.contract_risks:
        if names and name not in names:
            place = "quality_bar.risks"
            if profile.policy is not None and name in profile.policy.risks:
                place = f"extends: {profile.policy.file}"
            raise Misuse(
                f"REPO_PROFILE.json: {place}: no risk is called {name}",
                hint=f"the risks that this skillrun knows: {', '.join(names)}",
            )


def check_waiving_actor(request: Request, actor: Actor, allowed: bool) -> None:
    """Raises Refused where an agent waives, and no person allowed it here: whoever does the work
    may not.
    """
    if not request.waive or allowed or not actor.is_agent:
        return
    item = next(iter(request.waive))
    hint = "ask a person to give it, or to allow it here with: skillrun trust --agent-waivers"
    raise Refused(
        f"--waive {item}: {actor.agent or actor.name} is an agent, and waivers are for people",
        hint=hint,
    )


def check_attesting_actor(
    request: Request, actor: Actor, by_people: Iterable[str], scripts_allowed: bool
) -> None:
    """Raises Refused where somebody else than a person attests what only a person can: an agent, or
    a caller without a terminal, which may be an agent that nobody knows, unless a person allowed
    it.
    """
    for step in by_people:
        if step not in request.attest or sits_at_terminal(actor):
            continue
        if actor.is_agent:
            said = f"--attest {step}: {actor.agent or actor.name} is an agent, and its word alone"
            hint = "ask a person to look at it, and to give the same line at a terminal of theirs"
            raise Refused(f"{said} is no evidence of this", hint=hint)
        if not scripts_allowed:
            said = f"--attest {step}: only a person can, and there is no terminal"
            hint = "give the same line at a terminal; for CI or a script: skillrun trust --scripts"
            raise Refused(said, hint=hint)


def check_spec_waivers(
    spec: Spec | None, committed: bytes | None, actor: Actor, allowed: bool
) -> None:
    """The same for the spec, which an agent may edit: only the waivers that its committed text
    holds count.

    Raises Refused for another one where the environment shows an agent. `committed` is the spec's
    text in HEAD.
    """
    if spec is None or not spec.waivers or allowed or not actor.is_agent:
        return
    known = _waived_in(committed)
    for waiver in spec.waivers:
        if (waiver.item, waiver.reason) in known:
            continue
        said = (
            f"waivers: {waiver.item}: {actor.agent or actor.name} is an agent, and HEAD does not"
            " hold this waiver"
        )
        raise Refused(said, hint="take it out, or ask a person to commit it")


def _waived_in(text: bytes | None) -> set[tuple[str, str]]:
    try:
        value = parse_yaml(text or b"")
    except ValueError:
        return set()
    given = None
    if isinstance(value, dict):
        given = value.get("waivers")
    if isinstance(given, list):
        found = []
        for waiver in given:
            if isinstance(waiver, dict):
                found.append(waiver)
    else:
        found = []
    return {(str(waiver.get("item")), str(waiver.get("reason"))) for waiver in found}


def waivers(
    spec: Spec | None, request: Request, events: Iterable[Mapping[str, Any]], actor: Actor
) -> dict[str, Waiver]:
    """Item -> waiver: recorded from an earlier command line, in the spec as it is now, and on this
    command line.

    The later wins. One that has left the spec is gone.
    """
    earlier = (event["data"] for event in events)
    found = {}
    for w in earlier:
        if w["from"] != _SPEC:
            found[w["item"]] = Waiver(w["item"], w["reason"], w["by"], w["from"])
    if spec is not None:
        for waiver in spec.waivers:
            found[waiver.item] = Waiver(waiver.item, waiver.reason, waiver.by or "the spec", _SPEC)
    for item, reason in request.waive.items():
        found[item] = Waiver(item, reason, f"{actor.name} ({actor.kind})", "command line")
    return found


def recorded_attestations(events: Iterable[Mapping[str, Any]]) -> dict[str, Attestation]:
    """Step -> the latest attestation that the ledger holds."""
    attestations = {}
    for e in events:
        attestations[e["data"]["step"]] = Attestation(
            e["data"]["step"],
            e["data"]["statement"],
            e["data"]["evidence"],
            e["actor"],
            e["actor_kind"],
        )
    return attestations


def new_attestations(request: Request, tree: Tree, known: set[str]) -> dict[str, Attestation]:
    """Those of this command line. Raises Misuse: unknown step, no statement, no evidence, no such
    file.
    """
    for step in request.evidence.keys() - request.attest.keys():
        raise Misuse(f"--evidence {step}=...: without --attest {step}='what was done'")
    found, actor = {}, who()
    for step, statement in request.attest.items():
        if step not in known:
            hint = (
                "steps that can be attested:"
                f" {', '.join(sorted(known)) or 'none, code answers to all of them'}"
            )
            raise Misuse(f"--attest {step}: nothing is called so, or code answers to it", hint=hint)
        if not statement.strip():
            raise Misuse(f"--attest {step}: no statement", hint=f"--attest {step}='what was done'")
        paths = request.evidence.get(step, ())
        if not paths:
            raise Misuse(
                f"--attest {step}: no evidence",
                hint=f"--evidence {step}=PATH, a file that shows it",
            )
        found[step] = Attestation(
            step, statement, _hash_evidence(step, paths, tree), actor.name, str(actor.kind)
        )
    return found


def _hash_evidence(step: str, paths: Iterable[str], tree: Tree) -> dict[str, str]:
    hashes = {}
    for path in paths:
        sha = tree.sha256(path)
        if sha is None:
            raise Misuse(
                f"--evidence {step}={path}: no such file in the repository",
                hint="a path relative to its root",
            )
        hashes[path] = sha
    return hashes
