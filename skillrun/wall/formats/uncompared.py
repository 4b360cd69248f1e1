"""What was not compared between base and HEAD, as lines for the text and the Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

MOST = 3
"""Lines of one job; the JSON document holds all."""


def list_uncompared(found: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yields a line for each reason, with all that was not compared for it, and how many there are
    more: "other rows: no store", "and 2 more". `found`: the `not_compared` of a JSON document.
    """
    # Three steps that are skipped for one reason are told once.
    by_reason: dict[str, list[str]] = {}
    for one in found:
        by_reason.setdefault(one["why"], []).append(one["what"])
    for why, what in list(by_reason.items())[:MOST]:
        yield f"{'; '.join(what)}: {why}"
    if len(by_reason) > MOST:
        yield f"and {len(by_reason) - MOST} more"
