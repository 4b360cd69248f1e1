"""Another proof: other queries, examples, poison, variables, setup or interpreter, or no proof at
all.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.spec_findings import find_altered

ID = "thinner-proof"
HELP = (
    "The proof runs what the spec says, and compares what its queries see. Found: everything in "
    "proof: and in payload.examples that the base does not hold, but for a further state query, "
    "poisonous message or example. Queries are compared by their structure."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each part of the proof that is another one."""
    yield from find_altered(diff, ID)
