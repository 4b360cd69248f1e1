"""A ledger opens where it can be used, and one line says why where it cannot."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ledgers import fill_run, plain, run_start, without_privileges

from skillrun.core.errors import LedgerUnusable
from skillrun.ledger import connection
from skillrun.ledger.connection import journal_mode, open_writer
from skillrun.ledger.migrate import read_migrations
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import verify_ledger
from skillrun.ledger.versions import SCHEMA_VERSION

FULL = 2  # as SQLite counts: OFF, NORMAL, FULL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def open_place():
    """A folder that everybody may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def refusal(path: Path, *, read_only: bool = False) -> str:
    with pytest.raises(LedgerUnusable) as caught:
        Ledger.open(path, read_only=read_only, busy_ms=50)
    assert str(path.parent) in caught.value.message and "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "version, mode",
    [
        *(
            ((3, 37, 2), "truncate"),
            ((3, 44, 5), "truncate"),
            ((3, 44, 6), "wal"),
            ((3, 45, 0), "truncate"),
        ),
        *(
            ((3, 46, 1), "truncate"),
            ((3, 50, 6), "truncate"),
            ((3, 50, 7), "wal"),
            ((3, 51, 0), "truncate"),
        ),
        *(((3, 51, 2), "truncate"), ((3, 51, 3), "wal"), ((3, 52, 0), "wal"), ((4, 0, 0), "wal")),
    ],
)
def test_wal_only_where_the_reset_bug_is_fixed(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


def test_the_pragmas_of_a_writer(path: Path) -> None:
    db = open_writer(path)
    values = {
        name: db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "busy_timeout")
    }
    db.close()
    assert values == {
        "journal_mode": journal_mode(sqlite3.sqlite_version_info),
        "busy_timeout": 30_000,
    }


def test_the_version_counts_the_migrations() -> None:
    assert [number for number, _ in read_migrations()] == list(range(1, SCHEMA_VERSION + 1))


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    assert "empty ledger" in refusal(path, read_only=True)
    with Ledger.open(path) as ledger:
        fill_run(ledger)
    assert verify_ledger(path).integrity == "whole"


def test_reading_creates_nothing(path: Path) -> None:
    deep = path.parent / "deep" / "ledger.db"
    assert "no ledger here yet" in refusal(deep, read_only=True)
    assert not deep.parent.exists()


def test_a_reader_cannot_write(path: Path) -> None:
    Ledger.open(path).close()
    with (
        Ledger.open(path, read_only=True) as ledger,
        pytest.raises(LedgerUnusable, match="cannot be written"),
    ):
        ledger.start_run(run_start())


@pytest.mark.parametrize(
    "name", ["a b.db", "100%.db", "what?.db", "a#b.db", "ü.db", "mode=memory&x.db", ":memory:"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    Ledger.open(tmp_path / name).close()
    assert {file.name.removesuffix("-journal") for file in tmp_path.iterdir()} == {name}


@pytest.mark.parametrize("read_only", [False, True])
def test_refuses_what_is_no_database(path: Path, read_only: bool) -> None:
    path.write_bytes(b"once upon a time " * 500)
    before = path.read_bytes()
    assert "not a SQLite database" in refusal(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_refuses_a_newer_version(path: Path, read_only: bool) -> None:
    Ledger.open(path).close()
    with plain(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    words = f"newer skillrun (ledger version {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION})"
    assert words in refusal(path, read_only=read_only)


def test_refuses_somebody_elses_database(path: Path) -> None:
    with plain(path) as db:
        db.execute("CREATE TABLE accounts (id)")
    assert "not a ledger" in refusal(path)
    with plain(path) as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_schema")] == ["accounts"]


def test_refuses_a_folder_a_pipe_and_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    for read_only in (False, True):
        assert "a folder, not a ledger" in refusal(tmp_path / "folder", read_only=read_only)
        assert "not a regular file" in refusal(tmp_path / "pipe", read_only=read_only)
        assert "symbolic links" in refusal(tmp_path / "circle", read_only=read_only)
        assert "Not a directory" in refusal(tmp_path / "file" / "ledger.db", read_only=read_only)
        assert "not a file name" in refusal(tmp_path / "a\0b", read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_refuses_one_that_stays_locked(path: Path, read_only: bool) -> None:
    Ledger.open(path).close()
    with plain(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert "locked by another process for more than 0.05 s" in refusal(
            path, read_only=read_only
        )


def test_an_append_to_one_that_stays_locked_is_refused(path: Path) -> None:
    with Ledger.open(path, busy_ms=50) as ledger:
        with plain(path) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerUnusable, match="locked"):
                ledger.start_run(run_start())
        assert ledger.start_run(run_start())


@pytest.mark.real
def test_a_full_database_is_said_and_goes_on_when_there_is_room(path: Path) -> None:
    with Ledger.open(path) as ledger:
        run_id = fill_run(ledger)
        head = ledger.head(run_id)
        ledger._db.execute("PRAGMA max_page_count = 1")  # SQLite's own "database or disk is full"
        with pytest.raises(LedgerUnusable, match="the disk is full"):
            ledger.append(run_id, [NewEvent("x", data={"fill": "x" * 100_000})])
        assert ledger.head(run_id) == head
        ledger._db.execute("PRAGMA max_page_count = 100000")
        ledger.append(run_id, [NewEvent("x")], expect_n=head[0])
    assert verify_ledger(path).problems == ()


def test_a_damaged_one_is_said(path: Path) -> None:
    with Ledger.open(path) as ledger:
        fill_run(ledger)
    data = bytearray(path.read_bytes())
    data[100:4000] = b"\xff" * 3900
    path.write_bytes(data)
    assert "damaged" in refusal(path)


@pytest.mark.real
def test_a_read_only_place_is_read_and_not_written(open_place: Path) -> None:
    path = open_place / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = fill_run(ledger)
    path.chmod(0o444)
    open_place.chmod(0o555)

    def read() -> str:
        with Ledger.open(path, read_only=True) as ledger:
            return ledger.resolve_run(run_id[:30])

    def write() -> str:
        return refusal(path)

    assert without_privileges(read) == run_id
    assert "cannot be written" in without_privileges(write)
    assert "cannot be written" in without_privileges(lambda: refusal(open_place / "new.db"))


@pytest.mark.real
def test_a_wal_on_a_read_only_place(open_place: Path) -> None:
    """Its shared memory cannot be made there: the file is read as it is, but never past a log that
    is not empty.
    """
    path = open_place / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = fill_run(ledger)
    with plain(path) as db:
        db.execute("PRAGMA journal_mode = wal")
    open_place.chmod(0o555)

    def read() -> str:
        with Ledger.open(path, read_only=True) as ledger:
            return ledger.resolve_run(run_id[:30])

    assert without_privileges(read) == run_id
    open_place.chmod(0o755)
    path.with_name("ledger.db-wal").write_bytes(b"not empty")
    open_place.chmod(0o555)
    assert "last write was not finished" in without_privileges(
        lambda: refusal(path, read_only=True)
    )


def test_a_reader_mends_what_a_dead_writer_left(tmp_path: Path) -> None:
    """A hot journal: the file holds half a transaction, and a connection that may only read cannot
    roll it back.
    """
    path, copy = tmp_path / "ledger.db", tmp_path / "copy" / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = fill_run(ledger)
        head = ledger.head(run_id)
    copy.parent.mkdir()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    numbers = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000) SELECT x"
        " FROM c"
    )
    db.execute(f"CREATE TABLE filler AS {numbers}")
    for file in tmp_path.glob("ledger.db*"):
        shutil.copy(file, copy.parent)
    db.execute("ROLLBACK")
    db.close()
    assert (copy.parent / "ledger.db-journal").stat().st_size
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True).execute(
            "SELECT * FROM run"
        ).fetchall()
    with Ledger.open(copy, read_only=True) as ledger:
        assert ledger.head(run_id) == head
    assert verify_ledger(copy).integrity == "whole"


def test_leaving_wal_waits_for_nobody(path: Path) -> None:
    """While another process uses the WAL, this one stays in it and leaves checkpoints to the
    other.
    """
    db = open_writer(path)
    connection._set_journal(db, "wal", patience_s=1)
    db.execute("SELECT * FROM run").fetchall()
    other = open_writer(path, busy_ms=100)
    stays = journal_mode(sqlite3.sqlite_version_info) == "wal"
    assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert stays or other.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0
    other.close()
    db.close()
    again = open_writer(path)
    assert again.execute("PRAGMA journal_mode").fetchone()[0] == journal_mode(
        sqlite3.sqlite_version_info
    )
    again.close()


@pytest.mark.real
def test_a_commit_waits_until_it_is_on_the_disk(path: Path) -> None:
    """Of a process of its own: the tests' own process does not wait, see `unsynced.py`."""
    asking = (
        "import sys; from pathlib import Path; from skillrun.ledger.connection import open_writer;"
        "print(open_writer(Path(sys.argv[1])).execute('PRAGMA synchronous').fetchone()[0])"
    )
    command = [sys.executable, "-c", asking, str(path)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"{FULL}\n"
