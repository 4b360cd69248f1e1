"""Completes a job spec with what the scaffold alone knows: how the job is published, and what a
proof needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.skills.job_worker.scaffold.common import list_examples
from skillrun.skills.job_worker.scaffold.secrets import VALUE, find_secrets
from skillrun.skills.job_worker.scaffold.spec_text import block, completed_within, has_part
from skillrun.skills.job_worker.scaffold.stores.proof import proof_part

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec, Proof
    from skillrun.frameworks.pieces import Facts
    from skillrun.skills.job_worker.stages.interface import JobCase


_SETTING = ("env", "services", "setup", "database")


def missing_parts(case: JobCase, spec: JobSpec, facts: Facts) -> dict[str, Any]:
    """The parts that the spec leaves out and that what is written decides: `message`, `enqueue`,
    `proof`.
    """
    made: dict[str, Any] = {}
    if spec.message is None:
        made["message"] = facts.message
    if spec.enqueue is None and facts.facts.get("publishes", facts.trigger == "event"):
        arguments = list_examples(facts)
        if facts.message == "payload":
            arguments = {"payload": arguments}
        call = f"{facts.enqueue.module}:{facts.enqueue.name}"
        made["enqueue"] = {"call": call, "args": arguments}
    proof = {**proof_part(facts.store, case), **_list_poison(facts)}
    secrets = dict.fromkeys(find_secrets(case.project), VALUE)
    proof["env"] = {**secrets, **proof.get("env", {})}
    made["proof"] = lacking(spec.proof, {name: value for name, value in proof.items() if value})
    return {part: value for part, value in made.items() if value}


def lacking(given: Proof | None, proof: Mapping[str, Any]) -> dict[str, Any]:
    """What a `proof` has not yet. One that has another database has a setting of its own, which
    stays as it is.
    """
    if given is None:
        return dict(proof)
    if given.database is not None and given.database != proof.get("database"):
        proof = {name: value for name, value in proof.items() if name not in _SETTING}
    new = {}
    for name, value in proof.items():
        if name not in given.model_fields_set:
            new[name] = value
    env = {name: value for name, value in proof.get("env", {}).items() if name not in given.env}
    if env:
        new["env"] = env
    return new


def _list_poison(facts: Facts) -> dict[str, Any]:
    """Messages that break the payload's schema: an empty one, and one with a wrong value for each
    checked field.
    """
    required = [field for field in facts.fields if field.required]
    if not required:
        return {}
    poison: list[dict[str, Any]] = [{}]
    for field in required:
        if field.valid:
            poison.append({**list_examples(facts), field.name: _choose_wrong(field.annotation)})
    return {"poison": poison}


def _choose_wrong(annotation: str) -> Any:
    """A JSON value that no field of this type can have."""
    if annotation != "float" and annotation != "Any":
        return 0.5
    return "none"


def completed(text: str, name: str, parts: Mapping[str, Any]) -> str:
    """The text of a spec file with these parts added at its end; a part that is there gets what it
    lacks.

    What is there is not touched.
    """
    if not parts:
        return text
    there = {part: value for part, value in parts.items() if has_part(text, part)}
    for part, value in there.items():
        text = completed_within(text, part, value)
    parts = {part: value for part, value in parts.items() if part not in there}
    if not parts:
        return text
    if name.endswith(".json"):
        return _completed_json(text, parts)
    dumped = "".join(block(part, value) for part, value in parts.items())
    end = "\n"
    if text.endswith("\n") or not text:
        end = ""
    return f"{text}{end}{dumped}"


def _completed_json(text: str, parts: Mapping[str, Any]) -> str:
    """Before the last brace, indented as the first key is."""
    head, brace, tail = text.rpartition("}")
    indent = re.search(r"\{\s*\n([ \t]+)\"", text)
    space = "  "
    if indent:
        space = indent[1]
    lines = json.dumps(dict(parts), indent=space, ensure_ascii=False).splitlines()[1:-1]
    return f"{head.rstrip()},\n" + "\n".join(lines) + f"\n{brace}{tail}"
