"""How a look says that a spec is another than the base's: both values, and the place in HEAD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.spec_changes import Change, find_changes

HINT = (
    "put back what the base holds, and add beside it; where the spec itself is to change, a person "
    "does it on the base branch"
)
# Each change is told by the look whose sections it stands in; the last one has all others.
_SECTIONS = {
    "thinner-proof": ("proof", "payload.examples"),
    "looser-payload": ("payload",),
    "weaker-guarantee": (
        "effects",
        "idempotency",
        "failures",
        "retry",
        "dead_letter",
        "handler",
        "enqueue",
    ),
}
OTHERS = "altered-spec"


def find_altered(diff: Diff, look: str) -> Iterator[Finding]:
    """One finding for each change that a look tells."""
    for pair, change in find_changes(diff):
        if look_of(change.place) == look:
            line = pair.line(*change.path)
            yield taken(look, pair.file, line, _describe(change), hint=HINT)


def look_of(place: str) -> str:
    """The look that tells of a place of the schema; a word that nobody knows belongs to the last
    one.
    """
    for look, sections in _SECTIONS.items():
        for section in sections:
            if place == section or place.startswith((f"{section}.", f"{section}[")):
                return look
    return OTHERS


def _describe(change: Change) -> str:
    is_entry = change.place.endswith(("[]", ".examples")) or change.name.endswith(".required")
    if change.new is None and is_entry:
        said = f"{change.name} lost {_show(change.old)}"
    elif change.new is None:
        said = f"{change.name} is gone: the base has {_show(change.old)}"
    elif change.old is None:
        said = f"{change.name} is new: {_show(change.new)}"
    else:
        said = f"{change.name} was {_show(change.old)} and is {_show(change.new)}"
    return f"{said}: {change.why}" if change.why else said


def _show(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"type", "args"} and not value["args"]:
        value = value["type"]
    return quoted(value if isinstance(value, str) else json.dumps(value))
