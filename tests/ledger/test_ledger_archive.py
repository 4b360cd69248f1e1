"""Whole runs move into a sealed file, whatever happens meanwhile, and both files verify."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import FrameType

import helpers
import pytest
from ledgers import ROOT, fill_run, plain, run_start, start_workers, telemetry, triggers_away

from skillrun.core.errors import LedgerUnusable, Misuse, Refused
from skillrun.ledger.archive import archive_runs
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import VerifyReport, verify_ledger

ALWAYS = 2**62  # microseconds: every run is older
TABLES = ("run", "event", "evidence", "telemetry")
WORKER = Path(__file__).with_name("archive_worker.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three runs that succeeded."""
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        for job in "abc":
            fill_run(ledger, job, 1)
    return tmp_path / "ledger.db"


def ids(path: Path) -> list[str]:
    if not path.exists():
        return []
    with plain(path) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run'").fetchone():
            return []  # killed before the schema was there
        return [run_id for (run_id,) in db.execute("SELECT run_id FROM run ORDER BY 1")]


def rows(path: Path, run_id: str) -> dict[str, list[tuple[object, ...]]]:
    """All that a ledger holds of a run, without the order of arrival."""
    found = {}
    with plain(path) as db:
        for table in TABLES:
            columns = [
                row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "seq"
            ]
            found[table] = db.execute(
                f"SELECT {', '.join(columns)} FROM {table} WHERE run_id = ?", [run_id]
            ).fetchall()
    return found


def good(report: VerifyReport) -> bool:
    return (report.integrity, report.completeness, report.problems) == ("whole", "complete", ())


def test_runs_move_whole_and_both_files_verify(path: Path, tmp_path: Path) -> None:
    before, to = {run_id: rows(path, run_id) for run_id in ids(path)}, tmp_path / "old.db"
    with plain(path) as db:
        (second,) = db.execute(
            "SELECT max(ts_us) FROM event WHERE run_id = ?", [sorted(before)[1]]
        ).fetchone()
    done = archive_runs(path, second + 1, to)
    assert list(done.moved) == ids(to) == sorted(before)[:2]
    assert ids(path) == sorted(before)[2:]
    assert all(rows(to, run_id) == before[run_id] for run_id in ids(to))
    assert good(verify_ledger(path)) and good(verify_ledger(to))
    assert verify_ledger(path).notes == (f"2 runs were archived in {to}, and verified there",)
    with plain(path) as db, pytest.raises(Exception, match="append-only"):
        db.execute("DELETE FROM run")
    third = archive_runs(path, ALWAYS, to)
    assert (list(third.moved), ids(path)) == (sorted(before)[2:], [])
    assert good(verify_ledger(path)) and good(verify_ledger(to))
    assert archive_runs(path, ALWAYS, to).moved == ()


def test_what_is_open_stays(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        resumable = ledger.start_run(run_start("d"))
        ledger.append(resumable, [NewEvent("invocation.started", invocation=1)])
        row = telemetry(resumable, 1, outcome="blocked")
        ledger.append(resumable, [NewEvent("invocation.ended", invocation=1)], telemetry=row)
        superseded = ledger.start_run(run_start("e"))
        row = telemetry(superseded, 1, outcome="blocked")
        ledger.append(superseded, [NewEvent("invocation.ended", invocation=1)], telemetry=row)
        later = ledger.start_run(run_start("e"))
        ledger.append(later, [NewEvent("invocation.started", invocation=1)])
    done = archive_runs(path, ALWAYS, tmp_path / "old.db")
    assert superseded in done.moved
    assert dict(done.kept) == {
        resumable: "it can still be resumed",
        later: "an invocation has not ended",
    }


def test_a_receiver_gets_all_of_it_first(path: Path, tmp_path: Path) -> None:
    """And the newest event stays, or the next one would have its number."""
    run_ids = ids(path)
    with plain(path) as db:
        db.execute("INSERT INTO sink_cursor VALUES ('pg', 5, 1)")
    done = archive_runs(path, ALWAYS, tmp_path / "old.db")
    assert (list(done.moved), [run_id for run_id, _ in done.kept]) == (run_ids[:1], run_ids[1:])
    with plain(path) as db:
        db.execute("UPDATE sink_cursor SET last_seq = 15")
        db.execute("INSERT INTO sink_refusal VALUES ('pg', ?, 3, 'x', 1)", run_ids[1:2])
    assert archive_runs(path, ALWAYS, tmp_path / "old.db").moved == ()
    with plain(path) as db:
        db.execute("DELETE FROM sink_refusal")
    assert list(archive_runs(path, ALWAYS, tmp_path / "old.db").moved) == run_ids[1:2]
    with Ledger.open(path) as ledger:
        ledger.append(run_ids[2], [NewEvent("x")])
    with plain(path) as db:
        assert db.execute("SELECT max(seq) FROM event").fetchone() == (16,)


@pytest.mark.long
def test_killed_at_every_call_no_run_is_lost(path: Path, tmp_path: Path) -> None:
    before = {run_id: rows(path, run_id) for run_id in ids(path)}
    in_both = 0
    for k in range(1, 400):
        here, to = tmp_path / f"{k}.db", tmp_path / f"{k}.old.db"
        shutil.copy(path, here)
        arguments = [sys.executable, str(WORKER), str(here), str(ALWAYS), str(to), str(k)]
        done = subprocess.run(
            arguments, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        if done.stdout == "done\n":
            break
        assert done.returncode == -9, done.stderr
        for run_id, known in before.items():
            kept = [rows(file, run_id) for file in (here, to) if run_id in ids(file)]
            assert kept and all(found == known for found in kept), k
            in_both += len(kept) == 2
        assert good(verify_ledger(here)), k
        archive_runs(here, ALWAYS, to)
        assert (ids(here), ids(to)) == ([], sorted(before))
        assert good(verify_ledger(here)) and good(verify_ledger(to)), k
    assert 30 < k < 399 and in_both > 5, (k, in_both)


@pytest.mark.real
def test_others_write_on_while_runs_move(path: Path, tmp_path: Path) -> None:
    """Processes that had the ledger open before lose nothing, and meet triggers again
    afterwards.
    """
    with plain(path) as db:
        times = [
            us for (us,) in db.execute("SELECT max(ts_us) FROM event GROUP BY run_id ORDER BY 1")
        ]
    live = start_workers(2, path, "new", 60)
    done = [archive_runs(path, us + 1, tmp_path / "old.db") for us in times]
    outputs = [worker.communicate()[0] for worker in live]
    assert [worker.returncode for worker in live] == [0, 0], outputs
    assert [len(one.moved) for one in done] == [1, 1, 1]
    with plain(path) as db:
        assert db.execute("SELECT count(*) FROM event").fetchone() == (122,)
    assert verify_ledger(path).integrity == "whole"


def test_a_run_that_went_on_is_moved_later_with_all_it_has(path: Path, tmp_path: Path) -> None:
    """Copied, killed before the deletion, gone on: the archive gets the rest."""
    to, copy = tmp_path / "old.db", tmp_path / "copy.db"
    run_id = ids(path)[0]
    shutil.copy(path, copy)
    archive_runs(copy, ALWAYS, to)
    with Ledger.open(path) as ledger:
        ledger.append(run_id, [NewEvent("x")])
    assert run_id in archive_runs(path, ALWAYS, to).moved
    assert len(rows(to, run_id)["event"]) == 6
    assert good(verify_ledger(path)) and good(verify_ledger(to))


def test_a_run_that_goes_on_between_copy_and_deletion_stays(path: Path, tmp_path: Path) -> None:
    first = ids(path)[0]

    def go_on(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "_sync_folder":
            sys.setprofile(None)
            with Ledger.open(path) as ledger:
                ledger.append(first, [NewEvent("x")])

    sys.setprofile(go_on)
    done = archive_runs(path, ALWAYS, tmp_path / "old.db")
    assert done.kept == ((first, "it went on meanwhile"),)
    assert (ids(path), len(ids(tmp_path / "old.db"))) == ([first], 3)
    assert good(verify_ledger(path)) and good(verify_ledger(tmp_path / "old.db"))


@pytest.mark.real
def test_an_archive_that_was_tampered_with_or_lost_is_said(path: Path, tmp_path: Path) -> None:
    to = tmp_path / "old.db"
    archive_runs(path, ALWAYS, to)
    run_id, kept = ids(to)[0], shutil.copy(to, tmp_path / "kept.db")
    with triggers_away(to) as db:
        db.execute("DELETE FROM anchor")
        for table in ("evidence", "telemetry", "event", "run"):
            db.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
    assert verify_ledger(to).problems == ()
    report = verify_ledger(path)
    assert (report.integrity, report.completeness) == ("broken", "incomplete")
    assert (report.problems[0].run_id, report.problems[0].n) == (run_id, 5)
    shutil.copy(kept, to)
    with triggers_away(to) as db:
        db.execute("UPDATE telemetry SET outcome = 'blocked' WHERE run_id = ?", [run_id])
    assert [(p.run_id, p.table) for p in verify_ledger(path).problems] == [(run_id, "telemetry")]
    to.unlink()
    report = verify_ledger(path)
    assert good(report)
    assert report.notes == (
        f"3 runs were archived in {to}, which is not here: they could not be verified",
    )


def test_both_files_may_move_together(path: Path, tmp_path: Path) -> None:
    archive_runs(path, ALWAYS, tmp_path / "old.db")
    (tmp_path / "away").mkdir()
    for name in ("ledger.db", "old.db"):
        (tmp_path / name).rename(tmp_path / "away" / name)
    report = verify_ledger(tmp_path / "away" / "ledger.db")
    assert good(report) and report.notes[0].endswith("and verified there")


def test_a_broken_run_is_not_moved(path: Path, tmp_path: Path) -> None:
    with triggers_away(path) as db:
        db.execute("UPDATE event SET outcome = 'passed' WHERE seq = 4")
    with pytest.raises(Refused, match="is broken or incomplete; nothing was moved"):
        archive_runs(path, ALWAYS, tmp_path / "old.db")
    assert len(ids(path)) == 3 and not (tmp_path / "old.db").exists()


@pytest.mark.real
def test_a_full_disk_moves_nothing(path: Path, tmp_path: Path) -> None:
    """Files may grow to 32 KiB and no further; the ledger itself is larger already."""
    limited = ["bash", "-c", 'ulimit -f 32; exec "$@"', "limited"]
    arguments = [
        "ledger",
        "archive",
        "--before",
        "2999-01-01",
        "--to",
        tmp_path / "old.db",
        "--ledger",
        path,
    ]
    done = helpers.run_cli(*arguments, cwd=tmp_path, prefix=limited)
    assert done.returncode == 4 and "old.db: " in done.stderr, done.stderr
    assert len(ids(path)) == 3 and good(verify_ledger(path))
    assert helpers.run_cli(*arguments, cwd=tmp_path).returncode == 0
    assert (ids(path), len(ids(tmp_path / "old.db"))) == ([], 3)


def test_refused_places(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with Ledger.open(other) as ledger:
        fill_run(ledger)
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(Misuse, match="the ledger itself"):
        archive_runs(path, ALWAYS, path)
    with pytest.raises(Misuse, match="a ledger in its own right"):
        archive_runs(path, ALWAYS, other)
    with pytest.raises(LedgerUnusable, match="not a SQLite database"):
        archive_runs(path, ALWAYS, tmp_path / "text")
    with pytest.raises(LedgerUnusable, match="no ledger here yet"):
        archive_runs(tmp_path / "none.db", ALWAYS, tmp_path / "old.db")
    with plain(path) as db:
        db.execute("DROP TRIGGER event_no_delete")
        db.execute("CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT 1; END")
    with pytest.raises(Refused, match="event_no_delete is not the ledger's own"):
        archive_runs(path, ALWAYS, tmp_path / "old.db")
    assert len(ids(path)) == 3


@pytest.mark.real
def test_the_command_line(path: Path, tmp_path: Path) -> None:
    def run(*args: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        done = helpers.run_cli("ledger", *args, "--ledger", path, cwd=tmp_path, env=env)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    to = str(tmp_path / "old.db")
    assert "not a date" in run("archive", "--before", "soon", "--to", to, code=2)
    by_agent = run(
        "archive", "--before", "2999-01-01", "--to", to, code=4, env={"SKILLRUN_ACTOR": "agent:bot"}
    )
    assert "archive: bot is an agent" in by_agent
    assert "0 runs moved" in run("archive", "--before", "2020-01-01", "--to", to)
    assert f"3 runs moved to {to}" in run(
        "archive", "--before", "2999-01-01T00:00:00+02:00", "--to", to
    )
    assert f"3 runs were archived in {to}, and verified there" in run("verify")
