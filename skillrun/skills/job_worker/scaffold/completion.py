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
    from skillrun.skills.job_worker.job_case import JobCase


# The parts of a `proof` that belong together, since they are about one database.
_SETTING = ("env", "services", "setup", "database")


def missing_parts(case: JobCase, spec: JobSpec, facts: Facts) -> dict[str, Any]:
    """The parts that the spec leaves out and that what is written decides: `message`, `enqueue`,
    `proof`.
    """
    parts: dict[str, Any] = {}
    if spec.message is None:
        parts["message"] = facts.message
    if spec.enqueue is None and facts.of_library.get("publishes", facts.trigger == "event"):
        arguments = list_examples(facts)
        if facts.message == "payload":
            arguments = {"payload": arguments}
        call = f"{facts.enqueue.module}:{facts.enqueue.name}"
        parts["enqueue"] = {"call": call, "args": arguments}
    proof = {**proof_part(facts.store, case), **_list_poison(facts)}
    secrets = dict.fromkeys(find_secrets(case.project), VALUE)
    proof["env"] = {**secrets, **proof.get("env", {})}
    parts["proof"] = lacking(spec.proof, _without_empty(proof))
    return _without_empty(parts)


def _without_empty(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that say something."""
    return {name: value for name, value in parts.items() if value}


def lacking(given: Proof | None, proof: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of `proof` that the spec's own does not have yet. One that has another database
    has a setting of its own, which stays as it is.
    """
    if given is None:
        return dict(proof)
    has_other_database = given.database is not None and given.database != proof.get("database")
    new = {}
    for name, value in proof.items():
        if has_other_database and name in _SETTING:
            continue
        if name not in given.model_fields_set:
            new[name] = value
    env = {}
    if not has_other_database:
        for name, value in proof.get("env", {}).items():
            if name not in given.env:
                env[name] = value
    if env:
        new["env"] = env
    return new


def _list_poison(facts: Facts) -> dict[str, Any]:
    """Messages that break the payload's schema: an empty one, and one with a wrong value for each
    checked field.
    """
    required = [field for field in facts.fields if field.required]
    # Then an empty message breaks nothing.
    if not required:
        return {}
    poison: list[dict[str, Any]] = [{}]
    for field in required:
        if field.valid:
            poison.append({**list_examples(facts), field.name: _choose_wrong(field.annotation)})
    return {"poison": poison}


def _choose_wrong(annotation: str) -> Any:
    """A JSON value that no field of this type can have: half a number is no int, no text and no
    boolean.
    """
    if annotation != "float" and annotation != "Any":
        return 0.5
    return "none"


def completed(text: str, name: str, parts: Mapping[str, Any]) -> str:
    """The text of a spec file with these parts added at its end; a part that is there gets what it
    lacks.

    What is there is not touched.
    """
    new_parts = {}
    # What is there is asked of the text as it was given.
    completed_text = text
    for part, value in parts.items():
        if has_part(text, part):
            completed_text = completed_within(completed_text, part, value)
        else:
            new_parts[part] = value
    if not new_parts:
        return completed_text
    if name.endswith(".json"):
        return _complete_json(completed_text, new_parts)
    if completed_text and not completed_text.endswith("\n"):
        completed_text += "\n"
    for part, value in new_parts.items():
        completed_text += block(part, value)
    return completed_text


def _complete_json(text: str, parts: Mapping[str, Any]) -> str:
    """The text of a JSON document with these parts before its last brace, indented as its first key
    is.
    """
    head, brace, tail = text.rpartition("}")
    indent = re.search(r"\{\s*\n([ \t]+)\"", text)
    space = "  "
    if indent:
        space = indent[1]
    lines = json.dumps(dict(parts), indent=space, ensure_ascii=False).splitlines()[1:-1]
    return f"{head.rstrip()},\n" + "\n".join(lines) + f"\n{brace}{tail}"
