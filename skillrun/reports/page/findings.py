"""Every finding of a run, each once: since when, whether it is still there, and the code that it
speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        lines = []
        for number, text in enumerate(self.excerpt["lines"], self.excerpt["first"]):
            lines.append((number, text, number == self.excerpt["line"]))
        return lines


def collect_findings(events: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> list[Shown]:
    """What is still there first, the worst of it first. `report`: the latest one, for what no
    stage's event has.
    """
    found: dict[_Key, Shown] = {}
    for event in events:
        if event["type"] == "stage.finished":
            _note_stage(found, event)
    for stage in report.get("stages", ()):
        for finding in stage["findings"]:
            shown = Shown(stage["id"], finding, None)
            found.setdefault(_finding_key(stage["id"], finding), shown)
    return sorted(found.values(), key=_worst_first)


def _note_stage(found: dict[_Key, Shown], event: Mapping[str, Any]) -> None:
    """What a stage finds now is there, and what it found before and finds no more is gone."""
    stage, invocation, data = event["stage"], event["invocation"], event["data"]
    now = list((data.get("result") or {}).get("findings", ()))
    excerpts = {(e["path"], e["line"]): e for e in data.get("excerpts", ())}
    keys = {_finding_key(stage, finding) for finding in now}
    for key, shown in found.items():
        if shown.stage == stage and key not in keys and shown.gone is None:
            shown.gone = invocation
    for finding in now:
        shown = found.setdefault(_finding_key(stage, finding), Shown(stage, finding, invocation))
        shown.gone = None
        shown.excerpt = excerpts.get((finding["path"], finding["line"]), shown.excerpt)


def _finding_key(stage: str, finding: Mapping[str, Any]) -> _Key:
    return (stage, finding["rule"], finding["message"], finding["path"], finding["line"])


def _worst_first(shown: Shown) -> tuple[bool, int]:
    severity = shown.finding["severity"]
    # A word of a later version comes last.
    rank = len(_SEVERITIES)
    if severity in _SEVERITIES:
        rank = _SEVERITIES.index(severity)
    return (shown.gone is not None, rank)
