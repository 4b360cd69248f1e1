"""Another payload schema: what may enter, and what the proof can vary."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.spec_findings import find_altered

ID = "looser-payload"
HELP = (
    "A payload schema that allows more keeps less out; one that allows less leaves the proof less "
    "to vary. Found: every word of it that is not the base's, but for a further field that may be "
    "left out."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each word of the schema."""
    yield from find_altered(diff, ID)
