"""Every finding of a run, each once: since when, whether it is still there, and the code that it
speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SEVERITIES = ("blocker", "error", "warning", "note")
_Key = tuple[Any, ...]


@dataclass
class Shown:
    """A finding. `gone`: the invocation that no longer had it; None: it is still there."""

    stage: str
    finding: Mapping[str, Any]
    first: int | None
    gone: int | None = None
    excerpt: Mapping[str, Any] | None = None

    @property
    def excerpt_lines(self) -> list[tuple[int, str, bool]]:
        """(number, text, whether it is the line that the finding names)."""
        if self.excerpt is None:
            return []
        first, line = self.excerpt["first"], self.excerpt["line"]
        return [
            (first + i, text, first + i == line) for i, text in enumerate(self.excerpt["lines"])
        ]


def findings(events: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> list[Shown]:
    """What is still there first, the worst of it first. `report`: the latest one, for what no
    stage's event has.
    """
    found: dict[_Key, Shown] = {}
    for event in events:
        if event["type"] == "stage.finished":
            _take(found, event)
    for stage in report.get("stages", ()):
        for finding in stage["findings"]:
            found.setdefault(_key(stage["id"], finding), Shown(stage["id"], finding, None))
    return sorted(found.values(), key=_order)


def _take(found: dict[_Key, Shown], event: Mapping[str, Any]) -> None:
    stage, invocation, data = event["stage"], event["invocation"], event["data"]
    now = list((data.get("result") or {}).get("findings", ()))
    excerpts = {(e["path"], e["line"]): e for e in data.get("excerpts", ())}
    keys = {_key(stage, finding) for finding in now}
    for gone in _others(found, stage, keys):
        gone.gone = invocation
    for finding in now:
        shown = found.setdefault(_key(stage, finding), Shown(stage, finding, invocation))
        shown.gone = None
        shown.excerpt = excerpts.get((finding["path"], finding["line"]), shown.excerpt)


def _others(found: Mapping[_Key, Shown], stage: str, keys: set[_Key]) -> Iterator[Shown]:
    return (
        shown
        for key, shown in found.items()
        if shown.stage == stage and key not in keys and shown.gone is None
    )


def _key(stage: str, finding: Mapping[str, Any]) -> _Key:
    return (stage, finding["rule"], finding["message"], finding["path"], finding["line"])


def _order(shown: Shown) -> tuple[bool, int]:
    severity = shown.finding["severity"]
    return (
        shown.gone is not None,
        _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES),
    )
