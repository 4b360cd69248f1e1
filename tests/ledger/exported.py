"""What the tests of exports share: a ledger with the rows that formats have to get right, and
hostile text in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ledgers

from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m=HYPERLINK(1)"
REPORT = {
    "outcome": "partial",
    "stages": [
        {
            "id": "identify",
            "title": "Identify",
            "status": "passed",
            "grade": "static",
            "stale": False,
            "cached": False,
            "duration_ms": 40,
            "summary": "celery",
            "findings": [],
        },
        {
            "id": "contract",
            "title": "Contract",
            "status": "passed",
            "grade": "static",
            "stale": False,
            "cached": True,
            "duration_ms": 0,
            "summary": "event",
            "findings": [
                {
                    "rule": "r",
                    "severity": "warning",
                    "message": "m",
                    "path": None,
                    "line": None,
                    "hint": None,
                }
            ],
        },
        {
            "id": "retry",
            "title": "Retry",
            "status": "failed",
            "grade": None,
            "stale": False,
            "cached": False,
            "duration_ms": 30,
            "summary": HOSTILE,
            "findings": [],
        },
        {
            "id": "tests",
            "title": "Tests",
            "status": "waived",
            "grade": None,
            "stale": False,
            "cached": False,
            "duration_ms": 0,
            "summary": "waived by ada: later",
            "findings": [],
        },
    ],
    "checks": [
        {
            "id": "bounded",
            "text": "Retries are bounded",
            "status": "failed",
            "grade": None,
            "evidence": [],
        }
    ],
    "next": [{"stage": "retry", "action": "edit-code", "detail": "name the errors " + "x" * 900}],
    "recommendations": [
        {
            "skill": "system/state-machine-mapper",
            "reason": "it retries",
            "installed": False,
            "satisfied_by": None,
            "waived": None,
        }
    ],
}


def stage(name: str, outcome: str, **data: Any) -> NewEvent:
    """A stage's event as a run writes it."""
    result = {
        "status": outcome,
        "grade": "static" if outcome == "passed" else None,
        "findings": [],
        "evidence": [],
        "next": [],
        "summary": f"{name} {outcome}",
        "facts": {},
    }
    result |= data.pop("result", {})
    return NewEvent(
        "stage.finished",
        name,
        1,
        30_000,
        outcome,
        "ada",
        "human",
        "f" * 64,
        invocation=1,
        data={"result": result, "lookups": [], "basis": {}, **data},
    )


def finding(
    message: str, severity: str = "error", path: str | None = "shop/tasks.py", line: int | None = 3
) -> Any:
    """A finding as JSON."""
    return {
        "rule": "celery.retry-all",
        "severity": severity,
        "message": message,
        "path": path,
        "line": line,
        "hint": f"name the errors {message}",
        "recommends": None,
    }


def fill(ledger: Ledger, **start: object) -> str:
    """One run with one invocation: three stages, one of them wrong, a command with an exit code, a
    waiver.
    """
    run_id = ledger.start_run(ledgers.run_start(**start))
    ledger.append(run_id, [NewEvent("invocation.started", invocation=1, actor="ada")])
    waiver = {"item": "tests", "reason": f"later {HOSTILE}", "by": HOSTILE, "from": "spec"}
    ledger.append(run_id, [NewEvent("waiver.given", invocation=1, actor="ada", data=waiver)])
    ledger.append(
        run_id,
        [stage("identify", "passed")],
        evidence=[EvidenceRow("file", "a.py", "a" * 64, 9, 3)],
    )
    excerpt = {
        "path": "shop/tasks.py",
        "line": 3,
        "first": 2,
        "lines": ["import x", f"bad()  # {HOSTILE}", "end"],
    }
    findings = [finding(HOSTILE)]
    detail = {
        "kind": "lint",
        "exit_code": 2,
        "duration_ms": 12,
        "tail": HOSTILE,
        "timed_out": False,
    }
    ledger.append(
        run_id,
        [
            stage(
                "retry",
                "failed",
                result={"findings": findings, "summary": HOSTILE},
                excerpts=[excerpt],
            )
        ],
        evidence=[EvidenceRow("command", f"make lint {HOSTILE}", "b" * 64, 5, None, detail)],
    )
    ended = NewEvent(
        "invocation.ended",
        outcome="partial",
        dur_us=70_000,
        invocation=1,
        data={"key": "k", "report": REPORT},
    )
    row = ledgers.telemetry(run_id, outcome="partial", git_head="c" * 40, duration_ms=90)
    ledger.append(run_id, [ended], telemetry=row)
    return run_id


def filled(path: Path, runs: int = 1) -> list[str]:
    """The runs of a new ledger."""
    with Ledger.open(path) as ledger:
        return [fill(ledger) for _ in range(runs)]
