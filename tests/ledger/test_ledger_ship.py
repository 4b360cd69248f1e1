"""Shipping to a real PostgreSQL: nothing is lost and nothing is there twice, whatever is cut, and
when.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ledgers import run_start, telemetry
from rows import real_but

from skillrun.core.errors import Blocked, Misuse
from skillrun.ledger.shipping.ship import ship_ledger
from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent

TABLES = ("run", "event", "evidence", "telemetry")
BUSY = """SELECT pid FROM pg_stat_activity
    WHERE application_name = 'skillrun' AND query LIKE '%arriving%' AND datname = current_database() LIMIT 1"""


def fill(path: Path, runs: int = 3, stages: int = 4) -> list[str]:
    """Runs with evidence and telemetry; their ids."""
    with Ledger.open(path) as ledger:
        made = [ledger.start_run(run_start(f"job-{number}")) for number in range(runs)]
        for run_id in made:
            more(ledger, run_id, stages)
    return made


def more(ledger: Ledger, run_id: str, stages: int, invocation: int = 1) -> None:
    ledger.append(run_id, [NewEvent("invocation.started", invocation=invocation)])
    for number in range(stages):
        event = NewEvent(
            "stage.finished", f"stage{number}", data={"said": "ja ✓ \x00"}, invocation=invocation
        )
        ledger.append(
            run_id, [event], evidence=[EvidenceRow("file", "shop/tasks.py", "7" * 64, 12, 3)]
        )
    ended = [NewEvent("invocation.ended", invocation=invocation)]
    ledger.append(run_id, ended, telemetry=telemetry(run_id, invocation))


def here(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(path) as db:
        return {
            table: sorted(db.execute(query(db, table)).fetchall(), key=repr) for table in TABLES
        }


def query(db: sqlite3.Connection, table: str) -> str:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "seq"]
    return f"SELECT {', '.join(columns)} FROM {table}"


def there(url: str, path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with (
        sqlite3.connect(path) as db,
        psycopg.connect(url, options="-c search_path=skillrun") as far,
    ):
        return {
            table: sorted(far.execute(query(db, table)).fetchall(), key=repr) for table in TABLES
        }


@pytest.mark.real
def test_every_row_arrives_as_it_is(url: str, tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db")
    shipped = ship_ledger(tmp_path / "ledger.db", url, batch=7)
    assert (shipped.runs, shipped.events, shipped.waiting, shipped.refused) == (3, 21, 0, {})
    assert there(url, tmp_path / "ledger.db") == here(tmp_path / "ledger.db")


@pytest.mark.real
def test_what_comes_later_is_sent_later_and_alone(url: str, tmp_path: Path) -> None:
    run_id = fill(tmp_path / "ledger.db", runs=1)[0]
    ship_ledger(tmp_path / "ledger.db", url)
    assert ship_ledger(tmp_path / "ledger.db", url).events == 0
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        more(ledger, run_id, 2, invocation=2)
    assert ship_ledger(tmp_path / "ledger.db", url).events == 4
    assert there(url, tmp_path / "ledger.db") == here(tmp_path / "ledger.db")


@pytest.mark.real
def test_two_ledgers_meet_in_one_database(url: str, tmp_path: Path) -> None:
    fill(tmp_path / "one.db")
    fill(tmp_path / "two.db")
    ship_ledger(tmp_path / "one.db", url)
    ship_ledger(tmp_path / "two.db", url)
    both = {
        table: sorted(here(tmp_path / "one.db")[table] + here(tmp_path / "two.db")[table], key=repr)
        for table in TABLES
    }
    assert there(url, tmp_path / "one.db") == both


@pytest.mark.real
def test_a_cursor_that_was_lost_sends_nothing_twice(url: str, tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db")
    ship_ledger(tmp_path / "ledger.db", url)
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE sink_cursor SET last_seq = 5")
    assert ship_ledger(tmp_path / "ledger.db", url).refused == {}
    assert there(url, tmp_path / "ledger.db") == here(tmp_path / "ledger.db")


SHIPPER = """
import random, sys, time
from pathlib import Path
from skillrun.ledger.shipping.ship import ship_ledger
print(ship_ledger(Path(sys.argv[1]), sys.argv[2], batch=int(sys.argv[3])))
"""


def shipper(path: Path, url: str, batch: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SHIPPER, str(path), url, str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.real
def test_eight_at_once_while_the_ledger_grows(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    runs = fill(path, runs=12, stages=8)
    working = [shipper(path, url, 5 + number) for number in range(8)]
    with Ledger.open(path) as ledger:
        for run_id in runs:
            more(ledger, run_id, 3, invocation=2)
    for process in working:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    ship_ledger(path, url)
    assert there(url, path) == here(path)


@pytest.mark.real
def test_connections_that_are_cut_in_mid_batch(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path, runs=30, stages=10)
    stop = threading.Event()
    cuts: list[Any] = []

    def cut() -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            while not stop.is_set():
                busy = admin.execute(BUSY).fetchall()
                cuts.extend(
                    admin.execute("SELECT pg_terminate_backend(%s)", row).fetchone() for row in busy
                )
                time.sleep(0.02)

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        for _ in range(200):
            try:
                if ship_ledger(path, url, batch=20, sleep=lambda seconds: None).events == 0:
                    break
            except Blocked:
                continue
    finally:
        stop.set()
        cutter.join()
    ship_ledger(path, url)
    assert cuts
    assert there(url, path) == here(path)


@pytest.mark.real
def test_a_shipper_that_is_killed_and_begun_again(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path, runs=20, stages=10)
    for number in range(6):
        process = shipper(path, url, 3)
        time.sleep(0.4 + 0.15 * number)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ship_ledger(path, url)
    assert there(url, path) == here(path)


@pytest.mark.real
def test_a_server_that_crashes_and_comes_again(url: str, tmp_path: Path) -> None:
    """A backend that is killed takes all connections along, and the server recovers before it lets
    anybody in.
    """
    path = tmp_path / "ledger.db"
    fill(path, runs=30, stages=10)
    killed: list[int] = []

    def kill_one() -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            while not killed:
                busy = admin.execute(BUSY).fetchone()
                if busy:
                    os.kill(busy[0], signal.SIGKILL)
                    killed.append(busy[0])

    killer = threading.Thread(target=kill_one)
    killer.start()
    shipped = ship_ledger(path, url, batch=10)
    killer.join()
    assert (len(killed), shipped.waiting, shipped.refused) == (1, 0, {})
    assert there(url, path) == here(path)


@pytest.mark.real
def test_a_run_that_the_server_refuses_holds_up_no_other(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    runs = fill(path)
    ship_ledger(path, url)
    with psycopg.connect(url, autocommit=True, options="-c search_path=skillrun") as admin:
        admin.execute(
            f"ALTER TABLE event ADD CONSTRAINT house_rule CHECK (run_id <> '{runs[1]}' OR n < 8)"
        )
    with Ledger.open(path) as ledger:
        for run_id in runs:
            more(ledger, run_id, 1, invocation=2)
    shipped = ship_ledger(path, url)
    assert list(shipped.refused) == [runs[1]]
    assert "house_rule" in shipped.refused[runs[1]]
    assert (shipped.runs, shipped.waiting) == (2, 0)
    with psycopg.connect(url, autocommit=True, options="-c search_path=skillrun") as admin:
        admin.execute("ALTER TABLE event DROP CONSTRAINT house_rule")
    assert ship_ledger(path, url).refused == {}
    assert there(url, path) == here(path)


@pytest.mark.real
def test_an_edited_row_does_not_leave(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    runs = fill(path)
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER event_no_update")
        db.execute("UPDATE event SET outcome = 'passed' WHERE run_id = ? AND n = 3", (runs[0],))
    shipped = ship_ledger(path, url)
    assert shipped.refused == {runs[0]: "event 3: the row does not fit its hash"}
    assert {row[0] for row in there(url, path)["event"]} == set(runs[1:])


@pytest.mark.real
def test_a_rewritten_run_is_refused_by_what_is_there(url: str, tmp_path: Path) -> None:
    """Another history under the same id, with hashes that are right."""
    path = tmp_path / "ledger.db"
    run_id = fill(path, runs=1)[0]
    ship_ledger(path, url)
    with Ledger.open(tmp_path / "forged.db") as forged, sqlite3.connect(path) as db:
        other = forged.start_run(run_start("job-0"))
        more(forged, other, 4)
        seen = db.execute(
            "SELECT n, hash FROM event WHERE run_id = ? ORDER BY n", (run_id,)
        ).fetchall()
    rename(tmp_path / "forged.db", other, run_id)
    refused = ship_ledger(tmp_path / "forged.db", url).refused
    assert "another event 1" in refused[run_id]
    with psycopg.connect(url, options="-c search_path=skillrun") as far:
        assert far.execute("SELECT n, hash FROM event ORDER BY n").fetchall() == seen


def rename(path: Path, was: str, becomes: str) -> None:
    """Gives a run another id, and computes all hashes anew."""
    import json

    from skillrun.core.canonical import canonical
    from skillrun.ledger import chain

    with sqlite3.connect(path) as db:
        for table in TABLES:
            db.execute(f"DROP TRIGGER {table}_no_update")
        db.execute("PRAGMA foreign_keys = OFF")
        for table in TABLES:
            db.execute(f"UPDATE {table} SET run_id = ?", (becomes,))
        prev = chain.GENESIS
        for (n,) in db.execute("SELECT n FROM event ORDER BY n").fetchall():
            row = list(
                db.execute(
                    f"SELECT {', '.join(chain.EVENT_COLUMNS)} FROM event WHERE n = ?", (n,)
                ).fetchone()
            )
            data = json.loads(row[-1])
            seal = data.get(chain.SEAL, {})
            rows = {
                table: db.execute(f"SELECT {', '.join(columns)} FROM {table} {where}").fetchall()
                for table, columns, where in (
                    ("run", chain.RUN_COLUMNS, ""),
                    ("evidence", chain.EVIDENCE_COLUMNS, f"WHERE n = {n} ORDER BY i"),
                    ("telemetry", chain.TELEMETRY_COLUMNS, ""),
                )
            }
            if "run" in seal:
                seal["run"] = chain.run_seal(rows["run"][0])
            if "evidence" in seal:
                seal["evidence"] = chain.evidence_seal(
                    rows["evidence"], by_texts=seal.get(chain.TEXTS) is True
                )
            if "telemetry" in seal:
                seal["telemetry"] = chain.telemetry_seal(rows["telemetry"][0])
            row[-1] = canonical(data).decode()
            hash = chain.event_hash(prev, row)
            db.execute(
                "UPDATE event SET data = ?, prev = ?, hash = ? WHERE n = ?",
                (row[-1], prev, hash, n),
            )
            prev = hash


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db", runs=1)
    waits: list[float] = []
    with pytest.raises(Blocked) as blocked:
        ship_ledger(
            tmp_path / "ledger.db",
            f"postgresql://ada:secret@/x?host={tmp_path}",
            sleep=waits.append,
        )
    assert "secret" not in str(blocked.value)
    assert len(waits) == 5
    assert all(0 <= wait <= 20 for wait in waits)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db", runs=1)
    with pytest.raises(Misuse, match="not the address of a database"):
        ship_ledger(tmp_path / "ledger.db", "mysql://x/y")


# -- what the receiver really holds


def set_cursor(path: Path, seq: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE sink_cursor SET last_seq = ?", (seq,))


def lose(url: str, *statements: str) -> None:
    """What a restored backup or an administrator leaves behind."""
    with psycopg.connect(
        url, options="-c search_path=skillrun -c session_replication_role=replica"
    ) as far:
        for statement in statements:
            far.execute(statement)


@pytest.mark.real
@pytest.mark.parametrize("ahead", real_but([10, 21, 1_000_000], 10))
def test_a_cursor_that_was_set_forward_hides_nothing(url: str, tmp_path: Path, ahead: int) -> None:
    path = tmp_path / "ledger.db"
    fill(path, runs=1)
    ship_ledger(path, url)
    run_id = fill(path, runs=1)[0]
    set_cursor(path, ahead)
    shipped = ship_ledger(path, url)
    assert shipped.notes
    assert ("set back" in shipped.notes[0]) == (ahead > 14)
    with Ledger.open(path) as ledger:
        more(ledger, run_id, 2, invocation=2)
    assert ship_ledger(path, url).events == 4
    assert there(url, path) == here(path)


@pytest.mark.real
def test_an_honest_cursor_has_no_note(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    assert ship_ledger(path, url).notes == ()
    fill(path)
    assert ship_ledger(path, url, batch=5).notes == ()
    assert ship_ledger(path, url).notes == ()


EVENTS = "DELETE FROM event WHERE n"
LOSSES = {
    "everything": ("TRUNCATE run, event, evidence, telemetry",),
    "one run": ("DELETE FROM event WHERE run_id = (SELECT min(run_id) FROM run)",),
    "a run's own row": ("DELETE FROM run WHERE run_id = (SELECT min(run_id) FROM run)",),
    "the last events": (
        f"{EVENTS} > 3",
        "DELETE FROM evidence WHERE n > 3",
        "DELETE FROM telemetry",
    ),
    "an event in the middle": (f"{EVENTS} = 4",),
    "telemetry": ("DELETE FROM telemetry",),
    "evidence": ("DELETE FROM evidence WHERE n = 5",),
    "the tables": ("DROP SCHEMA skillrun CASCADE",),
}


@pytest.mark.real
@pytest.mark.parametrize("loss", real_but(LOSSES, "everything", "an event in the middle"))
def test_a_receiver_that_lost_its_rows_gets_them_again(url: str, tmp_path: Path, loss: str) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    ship_ledger(path, url)
    lose(url, *LOSSES[loss])
    shipped = ship_ledger(path, url)
    assert "were not there, or not whole" in shipped.notes[0]
    assert shipped.refused == {}
    assert there(url, path) == here(path)
    assert ship_ledger(path, url).notes == ()


@pytest.mark.real
def test_a_cursor_that_was_set_back_is_said(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    ship_ledger(path, url)
    set_cursor(path, 5)
    assert ship_ledger(path, url).notes == (
        "16 events behind the cursor were there already: they are sent again, and are there once",
    )
    assert there(url, path) == here(path)


@pytest.mark.real
def test_a_last_event_that_another_one_stands_for_is_refused(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run_id = fill(path, runs=1)[0]
    ship_ledger(path, url)
    lose(url, "UPDATE event SET hash = repeat('0', 64) WHERE n = 7")
    shipped = ship_ledger(path, url)
    assert "another event 7" in shipped.refused[run_id]


@pytest.mark.real
def test_what_is_appended_after_everything_was_archived_is_sent(url: str, tmp_path: Path) -> None:
    """SQLite gives the numbers of deleted events again."""
    path = tmp_path / "ledger.db"
    fill(path)
    ship_ledger(path, url)
    with sqlite3.connect(path) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for table in ("telemetry", "evidence", "event", "run"):
            db.execute(f"DELETE FROM {table}")
    fill(path, runs=1)
    shipped = ship_ledger(path, url)
    assert "set back" in shipped.notes[0]
    with psycopg.connect(url, options="-c search_path=skillrun") as far:
        assert far.execute("SELECT count(*) FROM event").fetchone() == (28,)
