"""The words of a job spec's schema, each with the place where it stands: `effects[].guarantee`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from skillrun.contract.spec import spec_schema

# A JSON Schema or values of somebody's own begin here; the schema of the spec says nothing below.
OPEN_PLACES = ("payload", "enqueue.args", "inputs", "effects[].returns", "proof.poison")


@cache
def spec_places() -> dict[str, dict[str, Any]]:
    """Place -> its part of the schema, of every word that a spec may hold."""
    schema = spec_schema()
    found: dict[str, dict[str, Any]] = {}
    for place, node in _inside("", schema, schema["$defs"]):
        found.setdefault(place, node)
    return found


def _inside(
    place: str, node: dict[str, Any], parts: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    referred = str(node.get("$ref", "")).rpartition("/")[2]
    # A default stands beside the reference, everything else behind it.
    whole = {**parts.get(referred, {}), **node}
    if place:
        yield place, whole
    if place in OPEN_PLACES:
        return
    for name, member in whole.get("properties", {}).items():
        yield from _inside(f"{place}.{name}".lstrip("."), member, parts)
    for choice in whole.get("anyOf", ()):
        yield from _inside(place, choice, parts)
    if isinstance(whole.get("items"), dict):
        yield from _inside(f"{place}[]", whole["items"], parts)
    if isinstance(whole.get("additionalProperties"), dict):
        yield from _inside(f"{place}.*", whole["additionalProperties"], parts)
