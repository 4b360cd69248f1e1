"""The tamper detector, seen to detect: changes are made with plain sqlite3, the triggers dropped
and put back.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import fill_run, plain, run_start, triggers_away

from skillrun.core.errors import LedgerUnusable
from skillrun.ledger import chain
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import MAX_PROBLEMS, VerifyReport, verify_ledger

KEYS = {
    "run": "run_id",
    "event": "seq",
    "telemetry": "run_id, invocation",
    "evidence": "run_id, n, i",
}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: the first has events 1 to 9 (seq 1 to 9) in two invocations, the second 1 to 5 (seq
    10 to 14).
    """
    path = tmp_path_factory.mktemp("untouched") / "ledger.db"
    with Ledger.open(path) as ledger:
        fill_run(ledger, "a")
        fill_run(ledger, "b", invocations=1)
    return path


@pytest.fixture
def path(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(untouched, tmp_path / "ledger.db"))


def sql(script: str) -> Callable[[sqlite3.Connection], None]:
    """Runs statements; `:run` and `:other` stand for the two runs."""

    def change(db: sqlite3.Connection) -> None:
        first, second = (
            row[0]
            for row in db.execute("SELECT run_id FROM event WHERE n = 1 ORDER BY seq").fetchall()
        )
        for statement in script.split(";"):
            db.execute(statement.replace(":run", f"'{first}'").replace(":other", f"'{second}'"))

    return change


def copied(table: str, where: str, **changes: object) -> Callable[[sqlite3.Connection], None]:
    """INSERT OR REPLACE of a row with some columns changed."""

    def change(db: sqlite3.Connection) -> None:
        db.row_factory = sqlite3.Row
        row = {**db.execute(f"SELECT * FROM {table} WHERE {where}").fetchone(), **changes}
        db.row_factory = None
        db.execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})",
            list(row.values()),
        )

    return change


def rehashed(seq: int, **changes: object) -> Callable[[sqlite3.Connection], None]:
    """An event replaced by a forger who computes its hash anew."""

    def change(db: sqlite3.Connection) -> None:
        copied("event", f"seq = {seq}", **changes)(db)
        columns = ", ".join(chain.EVENT_COLUMNS)
        *row, prev = db.execute(f"SELECT {columns}, prev FROM event WHERE seq = {seq}").fetchone()
        db.execute(f"UPDATE event SET hash = ? WHERE seq = {seq}", [chain.event_hash(prev, row)])

    return change


ANCHOR = (
    "INSERT INTO anchor SELECT run_id, n, 'git-note', 'refs/notes/x', {}, 1 FROM event WHERE"
    " seq = 9"
)
SWAP = (
    "UPDATE {0} SET {1} = 99 WHERE {1} = {2} AND {4}; UPDATE {0} SET {1} = {2} WHERE {1} = {3} AND"
    " {4};     UPDATE {0} SET {1} = {3} WHERE {1} = 99 AND {4}"
)
TAMPERINGS = {
    "event edited": (sql("UPDATE event SET outcome = 'passed' WHERE seq = 4"), "event", 4),
    "event data edited": (
        sql("UPDATE event SET data = json_set(data, '$.invocation', 2) WHERE seq = 3"),
        "event",
        3,
    ),
    "event data respaced": (sql("UPDATE event SET data = data || ' ' WHERE seq = 3"), "event", 3),
    "event hash edited": (sql("UPDATE event SET hash = '00' WHERE seq = 9"), "event", 9),
    "event edited, rehashed": (rehashed(4, outcome="passed"), "event", 5),
    "first event deleted": (sql("DELETE FROM event WHERE seq = 1"), "event", 2),
    "middle event deleted": (sql("DELETE FROM event WHERE seq = 4"), "event", 5),
    "event deleted, numbers closed": (
        sql("DELETE FROM event WHERE seq = 4; UPDATE event SET n = 4 WHERE seq = 5"),
        "event",
        4,
    ),
    "events reordered": (sql(SWAP.format("event", "n", 3, 4, "run_id = :run")), "event", 3),
    "events reordered in the file": (sql(SWAP.format("event", "seq", 3, 4, "1")), "event", 4),
    "event replaced": (copied("event", "seq = 4", outcome="passed"), "event", 4),
    "event replaced by number": (copied("event", "seq = 4", seq=99, outcome="passed"), "event", 4),
    "event added": (copied("event", "seq = 9", seq=99, n=10), "event", 10),
    "event moved to another run": (
        sql("UPDATE event SET run_id = :other, n = 6 WHERE seq = 9"),
        "event",
        6,
    ),
    "telemetry edited": (
        sql("UPDATE telemetry SET outcome = 'blocked' WHERE invocation = 2"),
        "telemetry",
        2,
    ),
    "telemetry deleted": (
        sql("DELETE FROM telemetry WHERE run_id = :run AND invocation = 1"),
        "telemetry",
        1,
    ),
    "telemetry added": (copied("telemetry", "invocation = 2", invocation=3), "telemetry", 3),
    "telemetry replaced": (
        copied("telemetry", "invocation = 2", grade_min="proved"),
        "telemetry",
        2,
    ),
    "telemetry reordered": (
        sql(SWAP.format("telemetry", "invocation", 1, 2, "run_id = :run")),
        "telemetry",
        1,
    ),
    "telemetry moved to another run": (
        sql(
            "DELETE FROM telemetry WHERE run_id = :other; UPDATE telemetry SET run_id = :other"
            " WHERE invocation = 1"
        ),
        *("telemetry", 1),
    ),
    "evidence edited": (
        sql("UPDATE evidence SET sha = 'c' WHERE run_id = :run AND n = 3 AND i = 1"),
        "evidence",
        3,
    ),
    "evidence deleted": (
        sql("DELETE FROM evidence WHERE run_id = :run AND n = 3 AND i = 2"),
        "evidence",
        3,
    ),
    "all evidence deleted": (
        sql("DELETE FROM evidence WHERE run_id = :run AND n = 4"),
        "evidence",
        4,
    ),
    "evidence added": (copied("evidence", "n = 7 AND i = 2", i=3), "evidence", 7),
    "evidence added to another event": (copied("evidence", "n = 7 AND i = 2", n=9), "evidence", 9),
    "evidence replaced": (
        copied("evidence", "n = 7 AND i = 2", path="elsewhere.py"),
        "evidence",
        7,
    ),
    "evidence reordered": (
        sql(SWAP.format("evidence", "i", 1, 2, "run_id = :run AND n = 3")),
        "evidence",
        3,
    ),
    "run edited": (sql("UPDATE run SET actor = 'eve' WHERE run_id = :run"), "run", None),
    "run deleted": (sql("DELETE FROM run WHERE run_id = :run"), "run", None),
    "run replaced": (copied("run", "job = 'a'", job="c"), "run", None),
    "run added": (copied("run", "job = 'a'", run_id="f"), "run", None),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_finds(path: Path, name: str) -> None:
    change, table, n = TAMPERINGS[name]
    with triggers_away(path) as db:
        change(db)
    report = verify_ledger(path)
    assert report.integrity == "broken"
    assert (table, n) in {(problem.table, problem.n) for problem in report.problems}
    assert not [problem for problem in report.problems if problem.kind == "schema"]
    missing = any(problem.kind == "missing" for problem in report.problems)
    assert (report.completeness == "incomplete") == missing
    if name.endswith("deleted"):
        assert missing


@pytest.mark.parametrize("name", [name for name in TAMPERINGS if "added" not in name])
def test_the_triggers_refuse(path: Path, name: str) -> None:
    """Added rows are appends, which triggers allow: there only the missing seal gives them away."""
    change, _, _ = TAMPERINGS[name]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), plain(path) as db:
        change(db)
    assert verify_ledger(path).problems == ()


def test_an_event_that_does_not_follow_is_refused(path: Path) -> None:
    for changes in ({"n": 10}, {"n": 12}):
        with pytest.raises(sqlite3.IntegrityError, match="does not follow"), plain(path) as db:
            copied("event", "seq = 9", seq=99, **changes)(db)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO event SELECT * FROM event WHERE seq = 3",
        "REPLACE INTO telemetry SELECT * FROM telemetry WHERE invocation = 2",
        "INSERT INTO run SELECT * FROM run WHERE true ON CONFLICT DO UPDATE SET actor = 'eve'",
        "INSERT OR IGNORE INTO evidence SELECT * FROM evidence",
        "UPDATE OR REPLACE event SET n = 2 WHERE seq = 3",
        "DELETE FROM anchor",
    ],
)
def test_no_form_of_insert_replaces(path: Path, statement: str) -> None:
    with plain(path) as db:
        db.execute(
            "INSERT INTO anchor SELECT run_id, n, 'git-note', 'refs/notes/x', hash, 1 FROM event"
            " WHERE n = 5"
        )
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), plain(path) as db:
        db.execute(statement)


def test_a_proper_next_event_replaces_none_by_its_place_in_the_file(path: Path) -> None:
    with plain(path) as db:
        (head,) = db.execute("SELECT hash FROM event WHERE seq = 14").fetchone()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), plain(path) as db:
        copied("event", "seq = 14", seq=3, n=6, prev=head)(db)


@pytest.mark.real
def test_every_single_value_is_protected(path: Path) -> None:
    """Each column of each row of a run in turn is changed to another value of its type, judged, and
    put back.
    """
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "ignore_check_constraints = ON"):
        db.execute(f"PRAGMA {pragma}")
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    unseen = []
    for table, key in KEYS.items():
        types = {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({table})")}
        query = (
            f"SELECT {', '.join(types)} FROM {table} WHERE run_id = (SELECT max(run_id) FROM run)"
        )
        for row in [dict(zip(types, row, strict=True)) for row in db.execute(query).fetchall()]:
            for column, old in row.items():
                changed = {
                    **row,
                    column: (old or 0) + 50 if types[column] == "INTEGER" else (old or "") + " ",
                }
                move(db, table, key, row, changed)
                found = {
                    problem.table
                    for problem in verify_ledger(path).problems
                    if problem.kind != "schema"
                }
                move(db, table, key, changed, row)
                if not found & {table, "event"}:
                    unseen.append((table, column))
    db.close()
    assert set(unseen) == {("event", "seq")}, (
        "of the last event of a run only its place in the file may change"
    )
    assert len(unseen) == 1


def move(
    db: sqlite3.Connection, table: str, key: str, old: dict[str, object], new: dict[str, object]
) -> None:
    """Puts one row in the place of another."""
    keys = key.split(", ")
    values = ", ".join(f"{column} = ?" for column in new)
    where = " AND ".join(f"{column} = ?" for column in keys)
    db.execute(
        f"UPDATE {table} SET {values} WHERE {where}",
        [*new.values(), *(old[column] for column in keys)],
    )


def test_triggers_that_are_missing_changed_or_foreign_are_said(path: Path) -> None:
    with plain(path) as db:
        db.execute("DROP TRIGGER event_no_update")
        db.execute("DROP TRIGGER run_no_delete")
        db.execute("CREATE TRIGGER run_no_delete BEFORE DELETE ON run BEGIN SELECT 1; END")
        db.execute("CREATE TRIGGER helpful AFTER INSERT ON event BEGIN SELECT 1; END")
        db.execute("DROP INDEX event_by_stage")
        db.execute("CREATE TABLE notes_of_an_auditor (text)")
    report = verify_ledger(path)
    assert {problem.what for problem in report.problems} == {
        "the trigger event_no_update is missing",
        "the trigger run_no_delete was changed",
        "the trigger helpful does not belong to the ledger",
        "the index event_by_stage is missing",
    }
    assert (report.integrity, report.completeness) == ("broken", "complete")


def test_a_table_that_is_gone_or_loosened_is_said(path: Path) -> None:
    with plain(path) as db:
        db.execute("CREATE TABLE loose AS SELECT * FROM event")
        db.execute("DROP VIEW run_status")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("DELETE FROM event")
    with triggers_away(path) as db:
        db.execute("ALTER TABLE event RENAME TO event_before")
        db.execute("ALTER TABLE loose RENAME TO event")
        db.execute("UPDATE event SET data = x'ff', n = 'three' WHERE seq = 3")
        db.execute("UPDATE event SET prev = NULL, seq = NULL, ts_us = 9e999 WHERE seq = 5")
        db.execute("UPDATE event SET actor = CAST(x'ff' AS TEXT) WHERE seq = 6")
    problems = verify_ledger(path).problems
    assert "the table event was changed" in {problem.what for problem in problems}
    assert {"three", 5, 6} <= {problem.n for problem in problems}
    with plain(path) as db:
        db.execute("ALTER TABLE telemetry RENAME TO elsewhere")
    report = verify_ledger(path)
    assert report.integrity == "broken"
    assert "the table telemetry is missing" in {problem.what for problem in report.problems}


def cut_tail(path: Path, after: int) -> VerifyReport:
    with triggers_away(path) as db:
        for table in ("evidence", "event"):
            sql(f"DELETE FROM {table} WHERE run_id = :run AND n > {after}")(db)
        sql("DELETE FROM telemetry WHERE run_id = :run AND invocation = 2")(db)
    return verify_ledger(path)


def test_a_tail_cut_at_an_invocation_needs_an_anchor(path: Path) -> None:
    """What the file alone cannot show is said in `limits`, and found where an anchor was
    recorded.
    """
    anchored = Path(shutil.copy(path, path.with_name("anchored.db")))
    with plain(anchored) as db:
        db.execute(ANCHOR.format("hash"))
    assert verify_ledger(anchored).problems == ()
    report = cut_tail(path, 5)
    assert (report.integrity, report.problems) == ("whole", ())
    report = cut_tail(anchored, 5)
    assert (report.integrity, report.completeness) == ("broken", "incomplete")
    assert report.problems[0].what == "the event is missing; it was anchored in refs/notes/x"


def test_a_tail_cut_within_an_invocation_is_incomplete(path: Path) -> None:
    report = cut_tail(path, 7)
    assert (report.integrity, report.completeness) == ("whole", "incomplete")
    assert [(problem.table, problem.n, problem.kind) for problem in report.problems] == [
        ("telemetry", 2, "open")
    ]


def test_a_rewritten_run_differs_from_its_anchor(path: Path) -> None:
    with plain(path) as db:
        db.execute(ANCHOR.format("'00'"))
    (problem,) = verify_ledger(path).problems
    assert problem.what == "its hash differs from the one anchored in refs/notes/x"


def test_damage_is_a_verdict_and_no_traceback(path: Path) -> None:
    with plain(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'event'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : (page - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(data)
    report = verify_ledger(path)
    assert report.integrity == "broken"
    assert any(problem.table == "file" for problem in report.problems)


@pytest.mark.real
def test_a_report_stays_small(path: Path) -> None:
    with Ledger.open(path) as ledger:
        run_id = ledger.start_run(run_start())
        ledger.append(run_id, [NewEvent("x") for _ in range(MAX_PROBLEMS + 10)])
    with triggers_away(path) as db:
        db.execute("UPDATE event SET outcome = 'passed'")
    assert len(verify_ledger(path).problems) == MAX_PROBLEMS


def test_a_ledger_that_cannot_be_read_is_refused(path: Path) -> None:
    with plain(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnusable, match="locked"):
            verify_ledger(path, busy_ms=50)
    with pytest.raises(LedgerUnusable, match="no ledger here"):
        verify_ledger(path.with_name("none.db"))
