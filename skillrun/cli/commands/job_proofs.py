"""One job, proved by its spec, else from its own tests, with what somebody says of it besides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked

if TYPE_CHECKING:
    from skillrun.cli.commands.drafts import Drafted
    from skillrun.reports.watchers import Silent

# A field that somebody says -> the promises that are made with it.
_PROMISED = {"retry": ("attempts", "delays"), "dead_letter": ("dead_letter",)}


def prove_by_spec_or_tests(
    repo: Path,
    handler: str,
    spec: Path | None,
    watcher: Silent,
    *,
    trust: bool = False,
    said: Mapping[str, Any] = {},
    schedule: str | None = None,
) -> tuple[dict[str, Any], Drafted | None]:
    """Its proof.v1, and the draft where there is no spec. `said`: fields of the spec, laid over it.

    Raises what is refused, Blocked for what is missing.
    """
    from skillrun.cli.commands.case import open_case
    from skillrun.cli.commands.drafts import draft_for
    from skillrun.cli.commands.prove import ask_to_prove
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.skills.job_worker.proving.proof_targets import proof_target

    drafted = None
    if spec is None:
        drafted = draft_for(repo, handler, watcher, trust)
        spec = drafted.path
    case = open_case(repo, spec, dict(_lay_over(spec, said)))
    target = proof_target(case)
    if drafted is not None:
        target = drafted.limit(target)
        target = replace(target, unpromised=_drop_promised(drafted.unpromised, said))
    ask_to_prove(case, target, watcher, trust)
    proof = try_prove(target, only=schedule)
    if drafted is not None and schedule is None:
        drafted.keep_verdict(proof.verdict)
    return proof_report(proof, target, "", schedule), drafted


def _lay_over(spec: Path, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the marks say, as --set would: field by field, so that the rest of the draft stays."""
    from skillrun.contract.spec import load_spec

    for name, value in said.items():
        if name == "effects" and isinstance(value, Mapping):
            calls = []
            for effect in load_spec(spec).effects or ():
                calls.append((effect.call, effect.name))
            for called, fields in value.items():
                yield from _list_leaves(f"effects.{_find_effect(calls, called)}", fields)
        else:
            yield from _list_leaves(name, value)


def _find_effect(known: list[tuple[str, str]], called: str) -> int:
    for number, names in enumerate(known):
        if called in names:
            return number
    calls = ", ".join(call for call, _ in known) or "none"
    raise Blocked(f"effects: the proof has seen no {called}", hint=f"it has seen: {calls}")


def _list_leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    is_plain = isinstance(value, Mapping) and not any("." in str(name) for name in value)
    if is_plain and value:
        for name, inner in value.items():
            yield from _list_leaves(f"{path}.{name}", inner)
    else:
        yield path, json.dumps(value, default=str)


def _drop_promised(unpromised: frozenset[str], said: Mapping[str, Any]) -> frozenset[str]:
    """Whoever says a policy in a test has promised it."""
    promised = set[str]()
    for name in said:
        promised.update(_PROMISED.get(name, ()))
    return unpromised - promised
