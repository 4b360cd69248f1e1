"""A looser payload schema: what may enter is checked less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import Pair, listed, mapping, pairs

ID = "looser-payload"
HELP = (
    "A payload schema that allows more keeps less out. Found: a required field that is optional now, properties that "
    "were closed and are open, and limits of a field that are gone."
)
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "format",
           "enum", "const", "type", "minItems", "maxItems")  # fmt: skip


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each thing that the schema no longer asks."""
    for pair in pairs(diff):
        old, new = (mapping(value) for value in pair.both("payload"))
        if old and new:
            yield from _required(pair, old, new)
            yield from _open(pair, old, new)
            yield from _limits(pair, mapping(old.get("properties")), mapping(new.get("properties")))


def _required(pair: Pair, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Finding]:
    left = mapping(new.get("properties"))
    for field in listed(old.get("required")):
        if field in listed(new.get("required")):
            continue
        said = f"payload.required lost {quoted(field)}"
        place = (pair.file, pair.line("payload", "required"))
        # A field that is gone altogether is another message, not a looser one.
        yield taken(ID, *place, said) if field in left else doubtful(ID, *place, f"{said}: the field itself is gone")


def _open(pair: Pair, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Finding]:
    if old.get("additionalProperties") is False and new.get("additionalProperties", True) is not False:
        said = "payload.additionalProperties was `false`: any further field is let in now"
        yield taken(ID, pair.file, pair.line("payload", "additionalProperties"), said)


def _limits(pair: Pair, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Finding]:
    for name in sorted(old.keys() & new.keys()):
        was, now = mapping(old[name]), mapping(new[name])
        for limit in _LIMITS:
            if limit in was and limit not in now and not (limit in ("type", "enum") and {"const", "enum"} & now.keys()):
                said = f"payload.{name} has no {limit} any more; the base asks {quoted(was[limit])}"
                yield doubtful(ID, pair.file, pair.line("payload", "properties", name), said)
