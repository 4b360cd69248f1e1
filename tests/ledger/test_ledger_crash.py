"""Many writers, killed writers, a full disk: what was acknowledged is there, once, in a whole
chain.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from ledgers import plain, run_start, start_workers
from rows import real_but

from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import verify_ledger

WRITERS, APPENDS = 8, 60


def acknowledged(output: str) -> set[tuple[str, str]]:
    """Run and number of the events that a worker saw on disk; the last line may be cut short by a
    kill.
    """
    lines = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return {(run_id, n) for run_id, n in lines}


def stored(path: Path) -> Counter[tuple[str, str]]:
    with plain(path) as db:
        return Counter(
            (run_id, str(n)) for run_id, n in db.execute("SELECT run_id, n FROM event WHERE n > 1")
        )


@pytest.mark.real
@pytest.mark.parametrize("journal", real_but(["truncate", "wal"], "wal"))
@pytest.mark.parametrize("target", real_but(["one run", "runs of their own"], "one run"))
def test_eight_processes_append_to_a_fresh_ledger(
    tmp_path: Path, target: str, journal: str
) -> None:
    path = tmp_path / "ledger.db"
    run_id = "new"
    if target == "one run":
        with Ledger.open(path) as ledger:
            run_id = ledger.start_run(run_start())
    writers = start_workers(WRITERS, path, run_id, APPENDS, journal)
    outputs = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, outputs
    expected = set().union(*map(acknowledged, outputs))
    assert len(expected) == WRITERS * APPENDS
    assert stored(path) == Counter(dict.fromkeys(expected, 1))
    report = verify_ledger(path)
    assert (report.integrity, report.completeness, report.problems) == ("whole", "complete", ())
    assert report.runs == (1 if target == "one run" else WRITERS)


@pytest.mark.real
def test_killed_writers_leave_a_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = ledger.start_run(run_start())
    seen: set[tuple[str, str]] = set()
    for _ in range(6):
        (writer,) = start_workers(1, path, run_id, 0)
        assert writer.stdout
        first = writer.stdout.readline()
        time.sleep(random.uniform(0, 0.08))
        writer.send_signal(signal.SIGKILL)
        seen |= acknowledged(first + writer.communicate()[0])
        with Ledger.open(path, read_only=True) as reader:
            n, _ = reader.head(run_id)
        assert n >= max(int(n) for _, n in seen)
    assert seen <= set(stored(path))
    report = verify_ledger(path)
    assert (report.integrity, report.problems, report.events) == ("whole", (), n)


@pytest.mark.real
def test_a_process_killed_while_it_creates_the_ledger(tmp_path: Path) -> None:
    for i in range(8):
        path = tmp_path / f"{i}.db"
        (writer,) = start_workers(1, path, "new", 0)
        while not path.exists():
            time.sleep(0.0005)
        time.sleep(i * 0.0005)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        with Ledger.open(path) as ledger:
            ledger.start_run(run_start())
        assert verify_ledger(path).integrity == "whole"


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = ledger.start_run(run_start())
    (writer,) = start_workers(1, path, run_id, 0, "truncate", path.stat().st_size + 20_000)
    output, _ = writer.communicate(timeout=60)
    *lines, last = output.splitlines(keepends=True)
    assert writer.returncode == 4 and last.startswith(f"LedgerUnusable {path}: "), output
    assert "the disk is full" in last or "reading or writing failed" in last
    seen = acknowledged("".join(lines))
    assert seen and set(stored(path)) == seen
    assert verify_ledger(path).integrity == "whole"
    with Ledger.open(path) as ledger:
        assert ledger.append(run_id, [NewEvent("after")])[0].n == len(seen) + 2
