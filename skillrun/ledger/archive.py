"""Moves whole runs into a sealed file, a ledger of the same schema: copied and checked there first,
then deleted here.

A run is in at least one of the two files at any moment, in both for a while; the same command again
goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.errors import Misuse, Refused
from skillrun.ledger import chain
from skillrun.ledger.anchors import ARCHIVE, SEALED, Anchor, insert_anchor
from skillrun.ledger.connection import BUSY_MS, explained, open_reader, open_writer
from skillrun.ledger.loosened import without_triggers
from skillrun.ledger.verify import run_problems

# Runs deleted in one transaction: others wait for it.
_BATCH = 100
_EVENT = (*chain.EVENT_COLUMNS, "prev", "hash")
_ANCHOR = ("run_id", "n", "kind", "place", "hash", "ts_us")
_COPIED = (  # table, its columns, its key
    ("run", chain.RUN_COLUMNS, ("run_id",)),
    ("event", _EVENT, ("run_id", "n")),
    ("evidence", chain.EVIDENCE_COLUMNS, ("run_id", "n", "i")),
    ("telemetry", chain.TELEMETRY_COLUMNS, ("run_id", "invocation")),
    ("anchor", _ANCHOR, ("run_id", "n", "kind", "place")),
)
# Rows that refer to another one go before it.
_DELETED = ("evidence", "telemetry", "event", "run")
# Why a run stays, or NULL. A receiver that has not been sent all of it would never get the rest;
# the newest event of the file stays while a receiver counts by `seq`, or the next event would be
# given its number again.
_CANDIDATES = """
SELECT
    s.run_id,
    s.last_n,
    (SELECT hash FROM event WHERE run_id = s.run_id AND n = s.last_n),
    CASE
        WHEN s.open_invocations
        THEN 'an invocation has not ended'

        WHEN s.outcome IS NOT 'success' AND NOT EXISTS (
            SELECT 1 FROM run AS later
            WHERE later.skill = s.skill
                AND later.job IS s.job
                AND later.repo = s.repo
                AND (later.started_us, later.run_id) > (s.started_us, s.run_id)
        )
        THEN 'it can still be resumed'

        WHEN
            (SELECT max(seq) FROM event WHERE run_id = s.run_id) > (
                SELECT min(last_seq, (SELECT max(seq) FROM event) - 1)
                FROM (SELECT min(last_seq) AS last_seq FROM sink_cursor)
                WHERE last_seq IS NOT NULL
            )
            OR EXISTS (SELECT 1 FROM sink_refusal WHERE sink_refusal.run_id = s.run_id)
        THEN 'a receiver still needs it'
    END
FROM run_status AS s
WHERE s.last_us < :before_us
ORDER BY s.run_id
"""


@dataclass(frozen=True)
class Archiving:
    """What was moved, and what was old enough and stayed: (run, why)."""

    archive: Path
    moved: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Run:
    run_id: str
    n: int
    hash: str


def archive_runs(path: Path, before_us: int, to: Path, *, busy_ms: int = BUSY_MS) -> Archiving:
    """Moves the runs whose last event is older than `before_us` (microseconds UTC) from the ledger
    at `path` to `to`.

    Runs that are still open stay. Raises Misuse where `to` is a ledger in its own right, Refused
    where one of the runs is broken (nothing is moved then), LedgerUnusable where one of the files
    cannot be used.
    """
    to = to.absolute()
    open_reader(path, busy_ms).close()
    with contextlib.ExitStack() as opened, explained(path, busy_ms):
        here = opened.enter_context(contextlib.closing(open_writer(path, busy_ms)))
        runs, kept = _choose_runs(here, before_us)
        if not runs:
            return Archiving(to, (), tuple(kept))
        with explained(to, busy_ms):
            _check_place(path, to)
            there = opened.enter_context(contextlib.closing(open_writer(to, busy_ms)))
            _check_archive(there, to)
            for run in runs:
                _copy_run(here, there, run)
            _sync_folder(to.parent)
        moved: list[str] = []
        for start in range(0, len(runs), _BATCH):
            batch = runs[start : start + _BATCH]
            moved += [run.run_id for run in _delete_unchanged(here, batch, to)]
    gone = set(moved)
    for run in runs:
        if run.run_id not in gone:
            kept.append((run.run_id, "it went on meanwhile"))
    return Archiving(to, tuple(moved), tuple(kept))


def _choose_runs(
    here: sqlite3.Connection, before_us: int
) -> tuple[list[_Run], list[tuple[str, str]]]:
    """The runs to move, and those that stay with the reason. Raises Refused where one is broken."""
    runs, kept, broken = [], [], []
    rows = here.execute(_CANDIDATES, {"before_us": before_us}).fetchall()
    for run_id, n, hash, why in rows:
        if why is not None:
            kept.append((run_id, why))
            continue
        runs.append(_Run(run_id, n, hash))
        problems, _ = run_problems(here, run_id)
        if problems:
            broken.append(run_id)
    if broken:
        more = ""
        if len(broken) > 1:
            more = f", and {len(broken) - 1} more"
        what = f"run {broken[0]} is broken or incomplete{more}; nothing was moved"
        raise Refused(what, hint="see skillrun ledger verify")
    return runs, kept


def _check_place(path: Path, to: Path) -> None:
    if to.exists() and path.samefile(to):
        raise Misuse(f"--to {to}: the ledger itself", hint="name another file")


def _check_archive(there: sqlite3.Connection, to: Path) -> None:
    """Every run in an archive is sealed; a ledger where runs are recorded is none."""
    unsealed = f"""
        SELECT 1 FROM run
        WHERE NOT EXISTS (
            SELECT 1 FROM anchor
            WHERE anchor.run_id = run.run_id AND kind = '{SEALED}'
        )
        LIMIT 1"""
    if there.execute(unsealed).fetchone():
        raise Misuse(
            f"--to {to}: a ledger in its own right, no archive",
            hint="name a new file, or an earlier archive",
        )


def _copy_run(here: sqlite3.Connection, there: sqlite3.Connection, run: _Run) -> None:
    """Brings what the archive lacks of a run, seals it, and checks it there."""
    with _open_transaction(there):
        for table, columns, key in _COPIED:
            # The second column of an event is its number: a trigger takes events in order alone.
            select = f"SELECT {', '.join(columns)} FROM {table} WHERE run_id = ? ORDER BY 2"
            insert = _insert_if_missing(table, columns, key)
            for row in here.execute(select, (run.run_id,)):
                there.execute(insert, dict(zip(columns, row, strict=True)))
        insert_anchor(there, Anchor("", run.run_id, run.n, run.hash), SEALED, "here")
    if run_problems(there, run.run_id)[0]:
        raise Refused(
            f"run {run.run_id}: another run of this id is in the archive; the run stays",
            hint="name a new file",
        )


def _insert_if_missing(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """The statement that adds a row; the triggers would abort it for one that is there."""
    names = ", ".join(columns)
    values = ", ".join(f":{column}" for column in columns)
    same = " AND ".join(f"{column} = :{column}" for column in key)
    return f"""
        INSERT INTO {table} ({names})
        SELECT {values}
        WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {same})"""


def _delete_unchanged(here: sqlite3.Connection, runs: Iterable[_Run], to: Path) -> list[_Run]:
    """Deletes runs that are still as they were copied, and remembers where they are; returns
    those.
    """
    with _open_transaction(here):
        # Between the copying and this lock, another process may have appended to one of them.
        same = [run for run in runs if _read_head(here, run.run_id) == run]
        with without_triggers(here, [f"{table}_no_delete" for table in _DELETED]):
            for run in same:
                insert_anchor(here, Anchor("", run.run_id, run.n, run.hash), ARCHIVE, str(to))
                for table in _DELETED:
                    here.execute(f"DELETE FROM {table} WHERE run_id = ?", (run.run_id,))
    return same


def _read_head(db: sqlite3.Connection, run_id: str) -> _Run | None:
    query = "SELECT run_id, n, hash FROM event WHERE run_id = ? ORDER BY n DESC LIMIT 1"
    row = db.execute(query, (run_id,)).fetchone()
    if not row:
        return None
    return _Run(*row)


@contextlib.contextmanager
def _open_transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _sync_folder(folder: Path) -> None:
    """The archive's name is on disk before anything is deleted for it."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
