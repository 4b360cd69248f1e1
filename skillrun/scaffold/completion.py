"""Completes a job spec with what the scaffold alone knows: how the job is published, and what a proof needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from skillrun.scaffold.stores.proof import proof_part

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.frameworks.pieces import Facts
    from skillrun.stages.interface import Case


def missing_parts(case: Case, spec: JobSpec, facts: Facts) -> dict[str, Any]:
    """The parts that the spec leaves out and that what is written decides: `message`, `enqueue`, `proof`."""
    made: dict[str, Any] = {}
    if spec.message is None:
        made["message"] = facts.message
    if spec.enqueue is None and facts.facts.get("publishes", facts.trigger == "event"):
        made["enqueue"] = {
            "call": f"{facts.enqueue.module}:{facts.enqueue.name}",
            "args": {"payload": example(facts)} if facts.message == "payload" else example(facts),
        }
    if spec.proof is None:
        made["proof"] = {**proof_part(facts.store, case), **_poison(facts)}
    return {part: value for part, value in made.items() if value}


def example(facts: Facts) -> dict[str, Any]:
    """The first example of the payload, as its fields say it."""
    return {field.name: field.example for field in facts.fields if field.example is not None}


def _poison(facts: Facts) -> dict[str, Any]:
    """Messages that break the payload's schema: an empty one, and one with a wrong value for each checked field."""
    required = [field for field in facts.fields if field.required]
    wrong = [{**example(facts), field.name: _wrong(field.annotation)} for field in required if field.valid]
    return {"poison": [*([{}] if required else []), *wrong]} if required else {}


def _wrong(annotation: str) -> Any:
    """A JSON value that no field of this type can have."""
    return 0.5 if annotation != "float" and annotation != "Any" else "none"


def completed(text: str, name: str, parts: Mapping[str, Any]) -> str:
    """The text of a spec file with these parts added at its end; what is there is not touched."""
    if not parts:
        return text
    if name.endswith(".json"):
        return _completed_json(text, parts)
    dumped = yaml.safe_dump(dict(parts), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{end}{dumped}"


def _completed_json(text: str, parts: Mapping[str, Any]) -> str:
    """Before the last brace, indented as the first key is."""
    head, brace, tail = text.rpartition("}")
    indent = re.search(r"\{\s*\n([ \t]+)\"", text)
    space = indent[1] if indent else "  "
    lines = json.dumps(dict(parts), indent=space, ensure_ascii=False).splitlines()[1:-1]
    return f"{head.rstrip()},\n" + "\n".join(lines) + f"\n{brace}{tail}"
