"""Ledgers that tell a story, written by the real store on a clock that the test moves."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers
from ledgers import run_start, telemetry

from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent

DAY = 86_400.0


def succeeded(root: Path) -> Path:
    """A real repository with a ledger, where a run has just succeeded on the files a.py and
    b.py.
    """
    saw = {"a.py": "one\n", "b.py": "same\n"}
    repo = helpers.build_tree(root, saw)
    with Story(repo / ".skillrun" / "ledger.db") as story:
        run_id = story.run("a", repo=str(repo))
        story.stage(run_id, "handler", "passed", 1, saw=saw)
        story.end(run_id, "success", 1, repo=str(repo))
    return repo


class Story:
    """Runs of a ledger; times are seconds from now, so those of the past are negative."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.time()
        self.now = 0.0
        self.ledger = Ledger.open(path, clock=lambda: int((self.began + self.now) * 1e6))
        self.invocations: dict[str, int] = {}

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *error: object) -> None:
        self.ledger.close()

    def run(self, job: str | None = "a", at: float = 0.0, **changed: object) -> str:
        """A new run, with its first invocation begun."""
        self.now = at
        run_id = self.ledger.start_run(run_start(job, **changed))
        self.begin(run_id, at)
        return run_id

    def begin(self, run_id: str, at: float) -> None:
        """The next invocation."""
        self.now = at
        self.invocations[run_id] = self.invocations.get(run_id, 0) + 1
        event = NewEvent(
            "invocation.started",
            invocation=self.invocations[run_id],
            actor="ada",
            actor_kind="human",
        )
        self.ledger.append(run_id, [event])

    def stage(
        self,
        run_id: str,
        stage: str,
        outcome: str,
        at: float,
        *,
        saw: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """A stage that has ended; `saw` names files and their content; `more` are columns of the
        event.
        """
        self.now = at
        files = [
            EvidenceRow("file", path, sha(text), len(text), 1) for path, text in (saw or {}).items()
        ]
        values = {"fingerprint": None, "data": {}, "dur_us": 1000, **more}
        event = NewEvent(
            "stage.finished", stage, outcome=outcome, invocation=self.invocations[run_id], **values
        )
        self.ledger.append(run_id, [event], evidence=files)

    def end(
        self,
        run_id: str,
        outcome: str,
        at: float,
        *,
        data: Mapping[str, Any] | None = None,
        **row: Any,
    ) -> int:
        """The end of the invocation, with its telemetry row; the number of the event."""
        self.now = at
        invocation = self.invocations[run_id]
        event = NewEvent(
            "invocation.ended", outcome=outcome, invocation=invocation, data=data or {}
        )
        stored = self.ledger.append(
            run_id, [event], telemetry=telemetry(run_id, invocation, outcome=outcome, **row)
        )
        return stored[-1].n

    def dies(self, run_id: str, at: float) -> None:
        """The invocation died, and somebody who came later closed it."""
        self.now = at
        invocation = self.invocations[run_id]
        event = NewEvent("invocation.interrupted", outcome="partial", invocation=invocation)
        self.ledger.append(
            run_id, [event], telemetry=telemetry(run_id, invocation, outcome="partial")
        )

    def says(self, run_id: str, type: str, at: float, **more: Any) -> None:
        """Any other event."""
        self.now = at
        self.ledger.append(run_id, [NewEvent(type, invocation=self.invocations[run_id], **more)])


def sha(text: str) -> str:
    """Of a file with this content."""
    return hashlib.sha256(text.encode()).hexdigest()


def report(**grades: str | None) -> dict[str, Any]:
    """The data of an invocation's end, with one passed check for each grade."""
    checks = [{"id": name, "grade": grade, "status": "passed"} for name, grade in grades.items()]
    return {"report": {"checks": checks}}


def looked(path: str, text: str) -> dict[str, Any]:
    """The data of a stage that looked at a file without citing it."""
    return {"lookups": [{"kind": "file", "name": path, "digest": "d", "files": {path: sha(text)}}]}


def tree(**files: str) -> str:
    """The parameter `tree` for files with these contents; `_` in a name stands for a dot."""
    return json.dumps({name.replace("_", "."): sha(text) for name, text in files.items()})
