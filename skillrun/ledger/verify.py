"""Recomputes a ledger: is every row what was written (integrity), and is nothing missing
(completeness)?

Nothing is believed that can be recomputed, and no trigger is relied on. Rows are streamed, run by
run, each run in one short read transaction, so that writers are not held up for long.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from skillrun.ledger import chain
from skillrun.ledger.anchors import Anchor
from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.findings import Problem, RunAnchor, VerifyReport, limits_of
from skillrun.ledger.seals import Seals
from skillrun.ledger.verify_anchors import (
    Archived,
    Comparison,
    archive_problems,
    archived_runs,
    compare,
    is_archive,
    is_id,
    standings,
)
from skillrun.ledger.verify_schema import file_problems, schema_problems, strangers

__all__ = ["MAX_PROBLEMS", "Problem", "VerifyReport", "run_problems", "verify_ledger"]

MAX_PROBLEMS = 1000
_TABLES = ("run", "event", "evidence", "telemetry", "anchor")
_DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def verify_ledger(
    path: Path, *, anchors: Sequence[Anchor] = (), own: str | None = None, busy_ms: int = BUSY_MS
) -> VerifyReport:
    """Recomputes everything in a ledger, and compares it with `anchors`, which were read outside of
    it.

    `own` is the name that anchors of the ledger at this path carry. Raises LedgerUnusable where
    there is no ledger to
    read, or it stays locked.
    """
    with contextlib.ExitStack() as opened, explained(path, busy_ms):
        db = opened.enter_context(contextlib.closing(open_reader(path, busy_ms)))
        db.text_factory = _any_text
        seen = _Seen(db, path, anchors, own, opened)
        problems = tuple(itertools.islice(seen.problems(), MAX_PROBLEMS))
        runs, events = (
            0 if _absent(db, table) else _count(db, table) for table in ("run", "event")
        )
    kinds = {problem.kind for problem in problems}
    return VerifyReport(
        path,
        "broken" if kinds - {"open"} else "whole",
        "incomplete" if kinds & {"missing", "open"} else "complete",
        problems,
        runs,
        events,
        seen.standings,
        tuple(seen.notes()),
        limits_of(seen.standings),
    )


class _Seen:
    """One look at a ledger, at what was published of it, and at its archives."""

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        anchors: Sequence[Anchor],
        own: str | None,
        opened: contextlib.ExitStack,
    ) -> None:
        self.db, self.path, self.anchors, self.own, self.opened = db, path, anchors, own, opened
        self.archived: dict[str, Archived] = {}
        self.compared = Comparison()
        self.standings: tuple[RunAnchor, ...] = ()
        self.redacted, self.sealed = 0, False
        self.strangers: list[str] = []

    def problems(self) -> Iterator[Problem]:
        """Every problem of the file; damage that stops the reading is the last one."""
        try:
            yield from schema_problems(self.db)
            self.strangers = strangers(self.db)
            if not any(_absent(self.db, table) for table in _TABLES):
                yield from file_problems(self.db)
                yield from self._outside()
                yield from self._inside()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise
            yield Problem(None, "file", None, f"cannot be read further: {error}", "schema")

    def _outside(self) -> Iterator[Problem]:
        self.archived = archived_runs(self.db, self.path, self.opened)
        self.compared = compare(self.db, self.anchors, self.archived, self.own)
        self.sealed = is_archive(self.db)
        self.standings = standings(self.db, self.compared, self.archived)
        yield from self.compared.problems.values()

    def _inside(self) -> Iterator[Problem]:
        for run_id in _run_ids(self.db):
            if not is_id(run_id):
                yield Problem(
                    None, "run", None, f"rows of a run whose id no ledger writes: {run_id!r:.80}"
                )
            elif run_id not in self.archived:
                yield from self._run(self.db, run_id)
        for run in self.archived.values():
            if run.db is not None:
                yield from archive_problems(run)
                yield from (
                    replace(p, what=f"{p.what} (in {run.place})")
                    for p in self._run(run.db, run.run_id)
                )

    def _run(self, db: sqlite3.Connection, run_id: Any) -> list[Problem]:
        problems, seals = run_problems(db, run_id)
        self.redacted += len(seals.redacted)
        return problems

    def notes(self) -> Iterator[str]:
        """What is neither good nor bad."""
        away: dict[str, list[bool]] = {}
        for run in self.archived.values():
            away.setdefault(run.place, []).append(run.db is not None)
        for place, found in sorted(away.items()):
            seen = (
                "and verified there"
                if all(found)
                else "which is not here: they could not be verified"
            )
            yield f"{_counted(len(found), 'run')} archived in {place}, {seen}"
        if self.sealed:
            yield "this file is an archive: the ledger that it was taken from has the other runs"
        if self.redacted:
            yield (
                f"{_counted(self.redacted, 'text')} taken out by a redaction that is on record; the"
                " hashes hold"
            )
        if self.compared.strangers:
            count = len(self.compared.strangers)
            yield (
                f"anchors speak of {count} more run{'' if count == 1 else 's'} that another"
                " ledger has"
            )
        if self.strangers:
            yield f"no part of the ledger, and not looked at: {', '.join(self.strangers)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun} was" if count == 1 else f"{count} {noun}s were"


def _run_ids(db: sqlite3.Connection) -> list[Any]:
    """The runs that any table speaks of."""
    tables = " UNION ".join(f"SELECT run_id FROM {table}" for table in _TABLES)
    return [run_id for (run_id,) in db.execute(f"{tables} ORDER BY 1")]


def run_problems(db: sqlite3.Connection, run_id: Any) -> tuple[list[Problem], Seals]:
    """The problems of one run, seen in one snapshot, and what its events say of other rows."""
    try:
        with _reading_texts(db, str):
            return _run_problems(db, run_id)
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
    with _reading_texts(
        db, _any_text
    ):  # Python met one that is not UTF-8; a call for each takes its time
        return _run_problems(db, run_id)


@contextlib.contextmanager
def _reading_texts(db: sqlite3.Connection, read: Any) -> Iterator[None]:
    before, db.text_factory = db.text_factory, read
    try:
        yield
    finally:
        db.text_factory = before


def _any_text(raw: bytes) -> str:
    """Bytes that are not UTF-8 become lone surrogates, which no text of ours has: no hash fits
    them.
    """
    return raw.decode("utf-8", "surrogateescape")


def _run_problems(db: sqlite3.Connection, run_id: Any) -> tuple[list[Problem], Seals]:
    seals = Seals()
    db.execute("BEGIN")
    try:
        problems = [
            *_chain_problems(db, run_id, seals),
            *_run_row_problems(db, run_id, seals),
            *_telemetry_problems(db, run_id, seals),
            *_evidence_problems(db, run_id, seals),
            *seals.find_unsaid_redactions(run_id),
            *_anchor_problems(db, run_id),
        ]
    finally:
        if db.in_transaction:
            db.execute("COMMIT")
    return problems, seals


def _chain_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    expected, prev, last_seq = 1, chain.GENESIS, 0
    query = (
        f"SELECT {', '.join(chain.EVENT_COLUMNS)}, prev, hash, seq FROM event WHERE run_id IS ?"
        " ORDER BY n, seq"
    )
    for *row, stored_prev, hash, seq in db.execute(query, (run_id,)):
        n = row[1]
        if not isinstance(n, int) or n < expected:
            yield Problem(run_id, "event", n, f"number {n} is there twice, or is no number")
            continue
        if n > expected:
            yield Problem(
                run_id, "event", n, f"{_numbers(expected, n - 1)} missing before it", "missing"
            )
        seal = chain.seal_in(row[-1])
        if not _same_event(stored_prev, row, hash, by_texts=chain.covers_texts(seal)):
            yield Problem(
                run_id,
                "event",
                n,
                "the row does not fit its hash: it was edited, replaced or moved",
            )
        elif n == expected and stored_prev != prev:
            yield Problem(
                run_id,
                "event",
                n,
                "it does not follow the event before it: one of the two was replaced",
            )
        if not isinstance(seq, int) or seq <= last_seq:
            yield Problem(
                run_id, "event", n, "it stands before an earlier event: rows were reordered"
            )
        seals.note_event(n, row[2], row[3], row[-1], seal)
        expected, prev, last_seq = n + 1, hash, seq if isinstance(seq, int) else last_seq
    if expected == 1:
        yield Problem(run_id, "event", None, "the run has no events", "missing")


def _numbers(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"


def _same_event(prev: Any, row: list[Any], hash: Any, *, by_texts: bool) -> bool:
    try:
        return bool(chain.event_hash(prev, row, by_texts=by_texts) == hash)
    except (
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ):  # no ledger writes a blob, an infinity
        return False


def _run_row_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    row = _rows(db, "run", chain.RUN_COLUMNS, run_id).fetchone()
    if row is None:
        yield Problem(run_id, "run", None, "the row of the run is missing", "missing")
    elif seals.run is None or _digest(chain.run_seal, row) != seals.run:
        yield Problem(run_id, "run", None, "the row differs from what the first event sealed")


def _telemetry_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    sealed = dict(seals.telemetry)
    for row in _rows(db, "telemetry", chain.TELEMETRY_COLUMNS, run_id, "ORDER BY invocation"):
        digest = sealed.pop(row[1], None)
        if digest is None:
            yield Problem(run_id, "telemetry", row[1], "no event speaks of this row: it was added")
        elif _digest(chain.telemetry_seal, row) != {"invocation": row[1], "sha256": digest}:
            yield Problem(run_id, "telemetry", row[1], "the row differs from what its event sealed")
    for invocation in sealed:
        yield Problem(
            run_id, "telemetry", invocation, "the row is missing; an event sealed it", "missing"
        )
    for invocation in sorted(seals.started - seals.telemetry.keys(), key=str):
        yield Problem(
            run_id,
            "telemetry",
            invocation,
            "the invocation began and did not end: it runs now, or died",
            "open",
        )


def _evidence_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    found: dict[int, list[Any]] = {}
    for row in _rows(db, "evidence", chain.EVIDENCE_COLUMNS, run_id, "ORDER BY n, i"):
        by_texts = row[1] in seals.by_texts
        found.setdefault(row[1], []).append(_digest(chain.evidence_digest, row, by_texts=by_texts))
        if by_texts:
            seals.note_marks(row[1], row[-1])
    for n in dict.fromkeys((*found, *seals.evidence)):
        yield from _compared_evidence(run_id, n, found.get(n, []), seals.evidence.get(n, []))


def _compared_evidence(
    run_id: Any, n: int, found: list[Any], sealed: list[str]
) -> Iterator[Problem]:
    if len(found) < len(sealed):
        yield Problem(
            run_id,
            "evidence",
            n,
            f"{len(found)} rows of {len(sealed)} that its event sealed",
            "missing",
        )
    elif len(found) > len(sealed):
        yield Problem(
            run_id,
            "evidence",
            n,
            f"{len(found)} rows, and its event sealed {len(sealed)}: rows were added",
        )
    elif found != sealed:
        yield Problem(
            run_id,
            "evidence",
            n,
            "rows differ from what its event sealed: edited, replaced or reordered",
        )


def _anchor_problems(db: sqlite3.Connection, run_id: Any) -> Iterator[Problem]:
    query = """SELECT anchor.n, place, event.n, anchor.hash = event.hash FROM anchor
        LEFT JOIN event ON event.run_id = anchor.run_id AND event.n = anchor.n WHERE anchor.run_id IS ?"""
    for n, place, found, same in db.execute(query, (run_id,)):
        if found is None:
            yield Problem(
                run_id, "event", n, f"the event is missing; it was anchored in {place}", "missing"
            )
        elif not same:
            yield Problem(run_id, "event", n, f"its hash differs from the one anchored in {place}")


def _rows(
    db: sqlite3.Connection, table: str, columns: tuple[str, ...], run_id: Any, order: str = ""
) -> sqlite3.Cursor:
    return db.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE run_id IS ? {order}", (run_id,)
    )


def _digest(seal: Callable[..., Any], row: Any, **options: bool) -> Any:
    """A row's seal, or None where the row holds what no ledger writes."""
    try:
        return seal(row, **options)
    except (TypeError, ValueError, RecursionError):
        return None


def _absent(db: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return db.execute(query, (table,)).fetchone() is None


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
