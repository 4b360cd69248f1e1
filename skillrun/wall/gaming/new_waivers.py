"""Waivers that the base branch does not hold: whoever does the work does not excuse it."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.specs import base_document
from skillrun.wall.waivers import not_held

ID = "new-waiver"
HELP = (
    "A waiver counts once the base branch holds it with the same reason, so that somebody else has"
    " agreed to it. Found: a waiver in HEAD's spec that the base's spec does not hold. It was not"
    " counted."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each waiver."""
    hint = "do the work, or have a person put the waiver on the base branch"
    for file in diff.specs:
        for waiver in not_held(file.new_document, base_document(diff, file)):
            said = (
                f"the waiver of {quoted(waiver.item)} ({quoted(waiver.reason)}) is not on the base"
                " branch"
            )
            yield taken(ID, file, waiver.line, f"{said}, so it does not count", hint=hint)
