"""What the events of one run say about the rows of the other tables, and about texts that were taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.ledger import chain, texts
from skillrun.ledger.findings import Problem
from skillrun.ledger.rows import INVOCATION_STARTED, REDACTED


@dataclass
class Seals:
    """What the events of one run say about the rows of the other tables."""

    run: str | None = None
    telemetry: dict[Any, str] = field(default_factory=dict)  # invocation -> digest
    evidence: dict[Any, list[str]] = field(default_factory=dict)  # n -> digests
    started: set[Any] = field(default_factory=set)  # invocations
    by_texts: set[Any] = field(default_factory=set)  # n of the events whose long texts are under their digests
    marks: dict[Any, set[str]] = field(default_factory=dict)  # n -> digests of the texts that are gone
    redacted: set[str] = field(default_factory=set)  # digests that an event says were taken out

    def note(self, n: int, type: str, invocation: Any, text: Any, data: Mapping[str, Any]) -> None:
        """Remembers the seal of one event; `data` is its `text` as a value."""
        seal = chain.seal_of(data)
        if chain.covers_texts(data):
            self.by_texts.add(n)
            self.note_marks(n, text)
        if type == REDACTED and isinstance(data.get("texts"), list):
            self.redacted.update(map(str, data["texts"]))
        if n == 1:
            self.run = seal.get("run")
        telemetry = seal.get("telemetry")
        if isinstance(telemetry, dict) and isinstance(telemetry.get("invocation"), int):
            self.telemetry[telemetry["invocation"]] = str(telemetry.get("sha256"))
        if isinstance(evidence := seal.get("evidence"), list):
            self.evidence[n] = evidence
        if type == INVOCATION_STARTED:
            self.started.add(invocation)

    def note_marks(self, n: int, text: Any) -> None:
        """Remembers what was taken out of a text of event `n`."""
        if found := texts.marks(text):
            self.marks.setdefault(n, set()).update(found)

    def unsaid(self, run_id: Any) -> Iterator[Problem]:
        """Texts that are gone, and no event says that they were redacted."""
        for n, digests in self.marks.items():
            if found := digests - self.redacted:
                yield Problem(
                    run_id, "event", n, f"{len(found)} of its texts gone, and no event says who redacted them"
                )


def parsed(text: Any) -> Mapping[str, Any]:
    """The JSON object in a text; an empty one where there is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
