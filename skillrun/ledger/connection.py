"""Opens the SQLite file of a ledger safely, and says in one line why it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from skillrun.core.errors import LedgerUnusable
from skillrun.ledger.versions import SCHEMA_VERSION, stored_version

# The files that this process has opened, in order: see tampered.py.
OPENED: dict[Path, None] = {}
# Eight writers on a rollback journal were seen to wait 16 s.
BUSY_MS = 30_000
# NORMAL loses acknowledged commits in a power cut.
SYNCHRONOUS = "FULL"

_MOVE_AWAY = "move it away; a new one is begun"
# The first SQLite that knows STRICT tables, which the ledger's are.
_STRICT_TABLES = (3, 37, 0)


class EmptyLedger(LedgerUnusable):
    """Nothing has been recorded yet: no file, or one whose creation was interrupted."""


def journal_mode(version: tuple[int, int, int]) -> str:
    """WAL where the SQLite library is free of the WAL-reset bug (3.7.0 to 3.51.2), else TRUNCATE.

    Fixed in 3.51.3, and in the backports 3.44.6 and 3.50.7; see https://sqlite.org/wal.html
    """
    backported = (3, 44, 6) <= version < (3, 45, 0) or (3, 50, 7) <= version < (3, 51, 0)
    if version >= (3, 51, 3) or backported:
        return "wal"
    return "truncate"


def open_writer(path: Path, busy_ms: int = BUSY_MS) -> sqlite3.Connection:
    """A connection that may write; the file and its folder are created where they are missing.

    Raises LedgerUnusable for anything that is no regular file, no ledger, of a newer version,
    locked, or not writable.
    """
    _require_sqlite()
    with explained(path, busy_ms):
        _check_writable(path)
        connection = _connect(path, "mode=rwc", busy_ms)
        OPENED[path] = None
        with _closed_on_error(connection):
            version = stored_version(connection, path)
            _set_journal(
                connection,
                journal_mode(sqlite3.sqlite_version_info),
                patience_s=min(busy_ms / 1000, 1.0),
            )
            connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
            connection.execute("PRAGMA foreign_keys = ON")
            if version < SCHEMA_VERSION:
                # Only here: an up-to-date ledger starts without it.
                from skillrun.ledger.migrate import migrate_to_newest

                migrate_to_newest(connection, path)
    return connection


def open_reader(path: Path, busy_ms: int = BUSY_MS) -> sqlite3.Connection:
    """A connection that cannot write and creates nothing.

    Raises LedgerUnusable where there is no ledger yet, and for all that `open_writer` refuses.
    """
    _require_sqlite()
    with explained(path, busy_ms):
        if not is_ledger_file(path):
            raise EmptyLedger(f"{path}: no ledger here yet", hint="the first run creates it")
        connection = _connect_readonly(path, busy_ms)
        OPENED[path] = None
        with _closed_on_error(connection):
            # An older one is read as it is.
            if stored_version(connection, path) == 0:
                raise EmptyLedger(f"{path}: an empty ledger", hint="the first run fills it")
    return connection


@contextlib.contextmanager
def explained(path: Path, busy_ms: int = BUSY_MS) -> Iterator[None]:
    """Turns errors of SQLite and the file system into LedgerUnusable; a broken constraint is our
    bug and stays one.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.Error as error:
        raise _explain_error(path, error, busy_ms) from error
    except UnicodeDecodeError as error:
        raise explain_undecodable(path, error) from error
    except OSError as error:
        raise LedgerUnusable(
            f"{path}: {error.strerror or error}", hint="name another file with --ledger"
        ) from error


def is_of_the_file(path: Path, error: UnicodeDecodeError, busy_ms: int = BUSY_MS) -> bool:
    """Whether the bytes that an error of SQLite quotes are the file's, and not those of a query.

    Any query can hold bytes that are no text: `json_extract('{}', cast(x'ff' as text))`.
    """
    if error.object.startswith(b"malformed database schema"):
        return True
    try:
        with contextlib.closing(_connect(path, "mode=ro", busy_ms)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except UnicodeDecodeError:
        return True
    except sqlite3.Error as failure:
        return _result_code(failure) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return False


def quote_undecodable(error: UnicodeDecodeError) -> str:
    """SQLite's words in an error that Python's module could not decode."""
    return error.object.decode("utf-8", "replace")


def explain_undecodable(path: Path, error: UnicodeDecodeError) -> LedgerUnusable:
    """What an error of SQLite means that quotes bytes of the file which are no UTF-8.

    Python's module knows no such error and raises that of its own decoding, with SQLite's words.
    """
    return LedgerUnusable(f"{path}: damaged ({quote_undecodable(error)})", hint=_MOVE_AWAY)


def _explain_error(path: Path, error: sqlite3.Error, busy_ms: int) -> LedgerUnusable:
    words = {
        sqlite3.SQLITE_BUSY: (
            f"locked by another process for more than {busy_ms / 1000:g} s",
            "end it and try again",
        ),
        sqlite3.SQLITE_LOCKED: ("locked", "try again"),
        sqlite3.SQLITE_NOTADB: ("not a SQLite database", "name another file with --ledger"),
        sqlite3.SQLITE_CORRUPT: (f"damaged ({error})", _MOVE_AWAY),
        sqlite3.SQLITE_READONLY: (
            "cannot be written",
            "make it writable, or name another file with --ledger",
        ),
        sqlite3.SQLITE_CANTOPEN: (
            "cannot be opened",
            "check the permissions of the file and its folder",
        ),
        sqlite3.SQLITE_FULL: ("the disk is full", "make room; what was recorded before is kept"),
        sqlite3.SQLITE_IOERR: (
            f"reading or writing failed ({error})",
            "check the disk; what was recorded before is kept",
        ),
    }
    what, hint = words.get(_result_code(error), (str(error), None))
    return LedgerUnusable(f"{path}: {what}", hint=hint)


def _result_code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite, without what its higher bits add to it.

    0 for an error of Python's own module.
    """
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _require_sqlite() -> None:
    if sqlite3.sqlite_version_info < _STRICT_TABLES:
        raise LedgerUnusable(
            f"this Python brings SQLite {sqlite3.sqlite_version}; the ledger needs 3.37 or later",
            hint="use a Python with a newer SQLite library",
        )


def is_ledger_file(path: Path) -> bool:
    """Whether there is a regular file; SQLite would wait for ever on a pipe and says little about a
    folder.

    Raises LedgerUnusable for what can be no ledger, and for an address: most commands want a file.
    """
    if not {"postgresql:", "postgres:"}.isdisjoint(path.parts):
        hint = "name a file; skillrun ledger ship --to sends it to a database"
        raise LedgerUnusable(
            "the ledger of this command is a file, and no database's address", hint=hint
        )
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:  # a link that leads to itself, a folder that is a file
        hint = "name a file with --ledger"
        raise LedgerUnusable(f"{path}: {error.strerror or error}", hint=hint) from error
    except ValueError as error:  # a zero byte, which only a profile could smuggle in
        raise LedgerUnusable(
            f"{path!s}: not a file name", hint="name a file with --ledger"
        ) from error
    if not stat.S_ISREG(mode):
        what = "not a regular file"
        if stat.S_ISDIR(mode):
            what = "a folder"
        raise LedgerUnusable(f"{path}: {what}, not a ledger", hint="name a file with --ledger")
    return True


def _check_writable(path: Path) -> None:
    """SQLite quietly opens a read-only file for reading, and would fail at the first append."""
    there = is_ledger_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The folder too: SQLite makes its journal beside the file.
    if there:
        places = [path, path.parent]
    else:
        places = [path.parent]
    for place in places:
        if not os.access(place, os.W_OK):
            raise LedgerUnusable(
                f"{place}: cannot be written", hint="name a file elsewhere with --ledger"
            )


def _connect(path: Path, options: str, busy_ms: int) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    # Without an isolation level Python begins no transaction by itself: each BEGIN is the store's.
    return sqlite3.connect(uri, uri=True, timeout=busy_ms / 1000, isolation_level=None)


def _connect_readonly(path: Path, busy_ms: int) -> sqlite3.Connection:
    connection = _connect(path, "mode=ro", busy_ms)
    with _closed_on_error(connection):
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            return connection
        except sqlite3.OperationalError as error:
            if _result_code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise
    connection.close()
    return _reopen_after_crash(path, busy_ms)


def _reopen_after_crash(path: Path, busy_ms: int) -> sqlite3.Connection:
    """A reader alone can neither roll a dead writer's journal back nor create the shared memory of
    a WAL.

    Where the place is writable, a writing connection does it. Where it is not, the file is read as
    one that nobody changes, but never past a journal: that would show uncommitted rows or hide
    committed ones.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        with contextlib.closing(_connect(path, "mode=rw", busy_ms)) as writer:
            writer.execute("SELECT 1 FROM sqlite_schema").fetchone()
        return _connect(path, "mode=ro", busy_ms)
    for suffix in ("-journal", "-wal"):
        # An empty one is a finished one: journal mode TRUNCATE leaves it so.
        journal = path.with_name(path.name + suffix)
        if journal.exists() and journal.stat().st_size:
            raise LedgerUnusable(
                f"{path}: its last write was not finished, and it cannot be finished on a read-only"
                " place",
                hint=f"copy the file together with {journal.name} to a writable folder",
            )
    return _connect(path, "mode=ro&immutable=1", busy_ms)


def _set_journal(connection: sqlite3.Connection, mode: str, patience_s: float) -> None:
    """Sets the journal mode; leaving WAL needs the file alone, so this connection stays in it while
    others use it.

    Then it never checkpoints: the WAL-reset bug needs a checkpoint beside a write.
    """
    deadline = time.monotonic() + patience_s
    while not _in_mode(connection, mode) and time.monotonic() < deadline:
        time.sleep(0.01)
    if mode != "wal":
        connection.execute("PRAGMA wal_autocheckpoint = 0")


def _in_mode(connection: sqlite3.Connection, mode: str) -> bool:
    """Entering and leaving WAL do not wait for locks by themselves, and fail where another process
    holds one.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        return bool(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode)
    return False


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise
