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
    compare_with_anchors,
    is_archive,
    is_id,
    standings,
)
from skillrun.ledger.verify_schema import file_problems, list_strangers, schema_problems

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
    there is no ledger to read, or it stays locked.
    """
    with contextlib.ExitStack() as opened, explained(path, busy_ms):
        db = opened.enter_context(contextlib.closing(open_reader(path, busy_ms)))
        db.text_factory = _any_text
        look = _Look(db, path, anchors, own, opened)
        problems = tuple(itertools.islice(look.find_problems(), MAX_PROBLEMS))
        runs, events = _count_rows(db, "run"), _count_rows(db, "event")
    kinds = {problem.kind for problem in problems}
    return VerifyReport(
        path,
        "broken" if kinds - {"open"} else "whole",
        "incomplete" if kinds & {"missing", "open"} else "complete",
        problems,
        runs,
        events,
        look.standings,
        tuple(look.list_notes()),
        limits_of(look.standings),
    )


class _Look:
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

    def find_problems(self) -> Iterator[Problem]:
        """Every problem of the file; damage that stops the reading is the last one."""
        try:
            yield from schema_problems(self.db)
            self.strangers = list_strangers(self.db)
            # Without one of its tables a ledger cannot be read any further.
            if not any(_is_absent(self.db, table) for table in _TABLES):
                yield from file_problems(self.db)
                yield from self._compare_with_anchors()
                yield from self._recompute_runs()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise
            yield Problem(None, "file", None, f"cannot be read further: {error}", "schema")

    def _compare_with_anchors(self) -> Iterator[Problem]:
        self.archived = archived_runs(self.db, self.path, self.opened)
        self.compared = compare_with_anchors(self.db, self.anchors, self.archived, self.own)
        self.sealed = is_archive(self.db)
        self.standings = standings(self.db, self.compared, self.archived)
        yield from self.compared.problems.values()

    def _recompute_runs(self) -> Iterator[Problem]:
        for run_id in _run_ids(self.db):
            if not is_id(run_id):
                yield Problem(
                    None, "run", None, f"rows of a run whose id no ledger writes: {run_id!r:.80}"
                )
            elif run_id not in self.archived:
                yield from self._recompute_run(self.db, run_id)
        for run in self.archived.values():
            if run.db is not None:
                yield from archive_problems(run)
                for problem in self._recompute_run(run.db, run.run_id):
                    yield replace(problem, what=f"{problem.what} (in {run.place})")

    def _recompute_run(self, db: sqlite3.Connection, run_id: Any) -> list[Problem]:
        problems, seals = run_problems(db, run_id)
        self.redacted += len(seals.redacted)
        return problems

    def list_notes(self) -> Iterator[str]:
        """What is neither good nor bad."""
        away: dict[str, list[bool]] = {}
        for run in self.archived.values():
            away.setdefault(run.place, []).append(run.db is not None)
        for place, found in sorted(away.items()):
            fate = "which is not here: they could not be verified"
            if all(found):
                fate = "and verified there"
            yield f"{_count_in_words(len(found), 'run')} archived in {place}, {fate}"
        if self.sealed:
            yield "this file is an archive: the ledger that it was taken from has the other runs"
        if self.redacted:
            texts = _count_in_words(self.redacted, "text")
            yield f"{texts} taken out by a redaction that is on record; the hashes hold"
        if self.compared.strangers:
            count = len(self.compared.strangers)
            runs = "runs"
            if count == 1:
                runs = "run"
            yield f"anchors speak of {count} more {runs} that another ledger has"
        if self.strangers:
            yield f"no part of the ledger, and not looked at: {', '.join(self.strangers)}"


def _count_in_words(count: int, noun: str) -> str:
    if count == 1:
        return f"{count} {noun} was"
    return f"{count} {noun}s were"


def _run_ids(db: sqlite3.Connection) -> list[Any]:
    """The runs that any table speaks of."""
    tables = " UNION ".join(f"SELECT run_id FROM {table}" for table in _TABLES)
    return [run_id for (run_id,) in db.execute(f"{tables} ORDER BY 1")]


def run_problems(db: sqlite3.Connection, run_id: Any) -> tuple[list[Problem], Seals]:
    """The problems of one run, seen in one snapshot, and what its events say of other rows.

    First with SQLite's own reading of texts, which is several times as fast. Where it meets one
    that is not UTF-8, Python raises an error without a code of SQLite; then with ours.
    """
    try:
        with _reading_texts(db, str):
            return _run_problems(db, run_id)
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
    with _reading_texts(db, _any_text):
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
    # IS, since an id may be NULL where somebody else wrote the row; so in all queries here.
    query = f"""
        SELECT {", ".join(chain.EVENT_COLUMNS)}, prev, hash, seq FROM event
        WHERE run_id IS ?
        ORDER BY n, seq"""
    for *row, stored_prev, hash, seq in db.execute(query, (run_id,)):
        n = row[1]
        if not isinstance(n, int) or n < expected:
            yield Problem(run_id, "event", n, f"number {n} is there twice, or is no number")
            continue
        if n > expected:
            what = f"{_name_events(expected, n - 1)} missing before it"
            yield Problem(run_id, "event", n, what, "missing")
        seal = chain.seal_in(row[-1])
        if not _same_event(stored_prev, row, hash, by_texts=chain.covers_texts(seal)):
            what = "the row does not fit its hash: it was edited, replaced or moved"
            yield Problem(run_id, "event", n, what)
        elif n == expected and stored_prev != prev:
            what = "it does not follow the event before it: one of the two was replaced"
            yield Problem(run_id, "event", n, what)
        # Rows are only ever appended, so that a later event has a higher `seq`.
        if not isinstance(seq, int) or seq <= last_seq:
            what = "it stands before an earlier event: rows were reordered"
            yield Problem(run_id, "event", n, what)
        if isinstance(seq, int):
            last_seq = seq
        seals.note_event(n, row[2], row[3], row[-1], seal)
        expected, prev = n + 1, hash
    if expected == 1:
        yield Problem(run_id, "event", None, "the run has no events", "missing")


def _name_events(first: int, last: int) -> str:
    if first == last:
        return f"event {first} is"
    return f"events {first} to {last} are"


def _same_event(prev: Any, row: list[Any], hash: Any, *, by_texts: bool) -> bool:
    try:
        return bool(chain.event_hash(prev, row, by_texts=by_texts) == hash)
    # No ledger writes what cannot be hashed: a blob, an infinity.
    except (TypeError, ValueError, AttributeError, RecursionError):
        return False


def _run_row_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    row = _select_rows(db, "run", chain.RUN_COLUMNS, run_id).fetchone()
    if row is None:
        yield Problem(run_id, "run", None, "the row of the run is missing", "missing")
    elif seals.run is None or _digest_or_none(chain.run_seal, row) != seals.run:
        yield Problem(run_id, "run", None, "the row differs from what the first event sealed")


def _telemetry_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    sealed = dict(seals.telemetry)
    for row in _select_rows(
        db, "telemetry", chain.TELEMETRY_COLUMNS, run_id, "ORDER BY invocation"
    ):
        digest = sealed.pop(row[1], None)
        if digest is None:
            yield Problem(run_id, "telemetry", row[1], "no event speaks of this row: it was added")
        elif _digest_or_none(chain.telemetry_seal, row) != {"invocation": row[1], "sha256": digest}:
            yield Problem(run_id, "telemetry", row[1], "the row differs from what its event sealed")
    for invocation in sealed:
        what = "the row is missing; an event sealed it"
        yield Problem(run_id, "telemetry", invocation, what, "missing")
    # By their words: where rows were edited, not every invocation is a number.
    for invocation in sorted(seals.started - seals.telemetry.keys(), key=str):
        what = "the invocation began and did not end: it runs now, or died"
        yield Problem(run_id, "telemetry", invocation, what, "open")


def _evidence_problems(db: sqlite3.Connection, run_id: Any, seals: Seals) -> Iterator[Problem]:
    found: dict[int, list[Any]] = {}
    for row in _select_rows(db, "evidence", chain.EVIDENCE_COLUMNS, run_id, "ORDER BY n, i"):
        by_texts = row[1] in seals.by_texts
        digest = _digest_or_none(chain.evidence_digest, row, by_texts=by_texts)
        found.setdefault(row[1], []).append(digest)
        if by_texts:
            seals.note_marks(row[1], row[-1])
    for n in dict.fromkeys((*found, *seals.evidence)):
        yield from _compare_evidence(run_id, n, found.get(n, []), seals.evidence.get(n, []))


def _compare_evidence(
    run_id: Any, n: int, found: list[Any], sealed: list[str]
) -> Iterator[Problem]:
    if len(found) < len(sealed):
        what = f"{len(found)} rows of {len(sealed)} that its event sealed"
        yield Problem(run_id, "evidence", n, what, "missing")
    elif len(found) > len(sealed):
        what = f"{len(found)} rows, and its event sealed {len(sealed)}: rows were added"
        yield Problem(run_id, "evidence", n, what)
    elif found != sealed:
        what = "rows differ from what its event sealed: edited, replaced or reordered"
        yield Problem(run_id, "evidence", n, what)


def _anchor_problems(db: sqlite3.Connection, run_id: Any) -> Iterator[Problem]:
    query = """
        SELECT anchor.n, place, event.n, anchor.hash = event.hash
        FROM anchor
        LEFT JOIN event ON event.run_id = anchor.run_id AND event.n = anchor.n
        WHERE anchor.run_id IS ?"""
    for n, place, found, same in db.execute(query, (run_id,)):
        if found is None:
            what = f"the event is missing; it was anchored in {place}"
            yield Problem(run_id, "event", n, what, "missing")
        elif not same:
            yield Problem(run_id, "event", n, f"its hash differs from the one anchored in {place}")


def _select_rows(
    db: sqlite3.Connection, table: str, columns: tuple[str, ...], run_id: Any, order: str = ""
) -> sqlite3.Cursor:
    return db.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE run_id IS ? {order}", (run_id,)
    )


def _digest_or_none(seal: Callable[..., Any], row: Any, **options: bool) -> Any:
    """A row's seal, or None where the row holds what no ledger writes."""
    try:
        return seal(row, **options)
    except (TypeError, ValueError, RecursionError):
        return None


def _is_absent(db: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return db.execute(query, (table,)).fetchone() is None


def _count_rows(db: sqlite3.Connection, table: str) -> int:
    if _is_absent(db, table):
        return 0
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
