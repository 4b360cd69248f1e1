"""What the ledger tests share: real ledgers with two runs, and ways to change them behind
skillrun's back.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent, RunStart, Telemetry

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("ledger_worker.py")


def run_start(job: str | None = "send-receipt", **changed: object) -> RunStart:
    """A run of the main skill on one job."""
    values: dict[str, object] = {
        "skill": "backend/job-worker-orchestration",
        "skill_name": "job-worker-orchestration",
        "skill_sha": "5" * 64,
        "job": job,
        "spec_path": f".skillrun/jobs/{job}.yaml",
        "repo": "/shop",
        "git_head": "a" * 40,
        "dirty": True,
        "actor": "ada",
        "actor_kind": "human",
        "agent": None,
        "host_id": "host",
        "runner_version": "0.1",
        "base_tree": {"notes.txt": "b" * 40},
    }
    return RunStart(**{**values, **changed})  # type: ignore[arg-type]


def telemetry(run_id: str, invocation: int = 1, **changed: object) -> Telemetry:
    """The telemetry row of an invocation."""
    values: dict[str, object] = {
        "skill": "backend/job-worker-orchestration",
        "outcome": "success",
        "actor": "ada",
        "actor_kind": "human",
        "repo": "/shop",
        "idempotency": "keyed",
        "retries": "bounded",
        "files_touched": ["shop/tasks.py"],
        "checks_attempted": ["a", "b"],
        "checks_passed": ["a"],
        "checks_failed": ["b"],
        "grade_min": "static",
        "duration_ms": 12,
        "trigger": "event",
        "tests_added": "unit",
    }
    return Telemetry(run_id, invocation, **{**values, **changed})  # type: ignore[arg-type]


def fill_run(ledger: Ledger, job: str = "send-receipt", invocations: int = 2) -> str:
    """A run in which each invocation examines two stages: events 2 to 5, 6 to 9, and so on."""
    run_id = ledger.start_run(run_start(job))
    for invocation in range(1, invocations + 1):
        ledger.append(run_id, [NewEvent("invocation.started", invocation=invocation, actor="ada")])
        for stage, outcome in (("identify", "passed"), ("contract", "blocked")):
            event = NewEvent(
                "stage.finished",
                stage,
                1,
                2500,
                outcome,
                fingerprint="f" * 64,
                data={"invocation": invocation},
            )
            files = [EvidenceRow("file", f"shop/{name}.py", name * 64, 10, 3) for name in "ab"]
            ledger.append(run_id, [event], evidence=files)
        ended = NewEvent("invocation.ended", outcome="success", invocation=invocation)
        ledger.append(run_id, [ended], telemetry=telemetry(run_id, invocation))
    return run_id


@contextlib.contextmanager
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as somebody with plain sqlite3 has it, triggers and all."""
    db = sqlite3.connect(path)
    try:
        with db:
            yield db
    finally:
        db.close()


@contextlib.contextmanager
def triggers_away(path: Path) -> Iterator[sqlite3.Connection]:
    """Plain sqlite3 with the triggers dropped, and put back afterwards, as a careful forger
    would.
    """
    with plain(path) as db:
        triggers = db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        yield db
        for _, sql in triggers:
            db.execute(sql)


def without_privileges(action: Callable[[], str]) -> str:
    """What the action returns in a process that file permissions bind: root leaves its rights
    first.
    """
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        with contextlib.suppress(BaseException):
            if os.geteuid() == 0:
                os.setuid(65534)
            os.write(sender, action().encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def start_workers(count: int, *args: object) -> list[subprocess.Popen[str]]:
    """Real writing processes that begin at the same moment: see `ledger_worker.py`."""
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), *map(str, args)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    for worker in workers:
        assert worker.stdout and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return workers
