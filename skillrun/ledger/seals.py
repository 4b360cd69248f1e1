"""What the events of one run say about the rows of the other tables, and about texts that were
taken out.
"""

from __future__ import annotations

import contextlib
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
    # Numbers of the events whose long texts are hashed by their digests.
    by_texts: set[Any] = field(default_factory=set)
    # Number of an event -> digests of the texts that are gone from it or its evidence.
    marks: dict[Any, set[str]] = field(default_factory=dict)
    redacted: set[str] = field(default_factory=set)  # digests that an event says were taken out

    def note_event(
        self, n: int, type: str, invocation: Any, text: Any, seal: Mapping[str, Any]
    ) -> None:
        """Remembers what one event says; `text` is its data, `seal` the seal in it."""
        if chain.covers_texts(seal):
            self.by_texts.add(n)
            self.note_marks(n, text)
        if type == REDACTED:
            self.redacted.update(_read_redacted_digests(text))
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
        if found := texts.find_marks(text):
            self.marks.setdefault(n, set()).update(found)

    def find_unsaid_redactions(self, run_id: Any) -> Iterator[Problem]:
        """Texts that are gone, and no event says that they were redacted.

        Asked at the end: a redaction is a later event than the one that it speaks of.
        """
        for n, digests in self.marks.items():
            unsaid = digests - self.redacted
            if unsaid:
                what = f"{len(unsaid)} of its texts gone, and no event says who redacted them"
                yield Problem(run_id, "event", n, what)


def _read_redacted_digests(text: Any) -> Iterator[str]:
    """The digests of the texts that an event of this type names."""
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        data = json.loads(text)
        if isinstance(data, dict) and isinstance(data.get("texts"), list):
            yield from map(str, data["texts"])
