"""Recomputes a ledger: is every row what was written (integrity), and is nothing missing (completeness)?

Nothing is believed that can be recomputed, and no trigger is relied on. Rows are streamed, run by run, each run in one
short read transaction, so that writers are not held up for long.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillrun.ledger import chain
from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.migrate import apply, migrations
from skillrun.ledger.rows import INVOCATION_STARTED

MAX_PROBLEMS = 1000
LIMITS = (
    "Events cut from the end of a run, or a run removed with all its rows, cannot be seen from the file alone: "
    "compare the last number and hash of a run with an anchor kept elsewhere.",
    "A ledger rewritten as a whole, with every hash computed anew, looks whole: "
    "only an anchor kept elsewhere shows it.",
    "The chain shows that rows are as they were written, not that what they say is true.",
)
_TABLES = ("run", "event", "evidence", "telemetry", "anchor")
_DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `kind`: altered, missing and schema break integrity; missing and open (an unfinished invocation) completeness.
    """

    run_id: str | None  # None: of the file
    table: str
    n: int | None  # number of the event; of the invocation where the table is telemetry
    what: str
    kind: str = "altered"


@dataclass(frozen=True)
class VerifyReport:
    """What a ledger is worth; `limits` says in sentences what no look at the file alone can find."""

    path: Path
    integrity: str  # whole | broken
    completeness: str  # complete | incomplete
    problems: tuple[Problem, ...]
    runs: int
    events: int
    limits: tuple[str, ...] = LIMITS


@dataclass
class _Seals:
    """What the events of one run say about the rows of the other tables."""

    run: str | None = None
    telemetry: dict[Any, str] = field(default_factory=dict)  # invocation -> digest
    evidence: dict[Any, list[str]] = field(default_factory=dict)  # n -> digests
    started: set[Any] = field(default_factory=set)  # invocations

    def note(self, n: int, type: str, invocation: Any, data: Any) -> None:
        """Remembers the seal of one event."""
        seal = chain.seal_of(data)
        if n == 1:
            self.run = seal.get("run")
        telemetry = seal.get("telemetry")
        if isinstance(telemetry, dict) and isinstance(telemetry.get("invocation"), int):
            self.telemetry[telemetry["invocation"]] = str(telemetry.get("sha256"))
        if isinstance(evidence := seal.get("evidence"), list):
            self.evidence[n] = evidence
        if type == INVOCATION_STARTED:
            self.started.add(invocation)


def verify_ledger(path: Path, *, busy_ms: int = BUSY_MS) -> VerifyReport:
    """Recomputes everything in a ledger. Raises LedgerUnusable where there is no ledger to read, or it stays locked."""
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        problems = tuple(itertools.islice(_problems(db), MAX_PROBLEMS))
        runs, events = (0 if _absent(db, table) else _count(db, table) for table in ("run", "event"))
    kinds = {problem.kind for problem in problems}
    return VerifyReport(
        path,
        "broken" if kinds - {"open"} else "whole",
        "incomplete" if kinds & {"missing", "open"} else "complete",
        problems,
        runs,
        events,
    )


def _problems(db: sqlite3.Connection) -> Iterator[Problem]:
    """Every problem of the file; damage that stops the reading is the last one."""
    try:
        yield from _schema_problems(db)
        if not any(_absent(db, table) for table in _TABLES):
            yield from _file_problems(db)
            for run_id in _run_ids(db):
                yield from _run_problems(db, run_id)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
            raise
        yield Problem(None, "file", None, f"cannot be read further: {error}", "schema")


def _file_problems(db: sqlite3.Connection) -> Iterator[Problem]:
    for (message,) in db.execute("PRAGMA integrity_check(20)"):
        if message != "ok":
            yield Problem(None, "file", None, message, "schema")


def _schema_problems(db: sqlite3.Connection) -> Iterator[Problem]:
    """Tables, indexes, triggers and views against those of the migrations; triggers that we did not write."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    expected, found = _expected_schema(version), _schema(db)
    for (kind, name), sql in expected.items():
        if (kind, name) not in found:
            yield Problem(None, name, None, f"the {kind} {name} is missing", "schema")
        elif found[kind, name] != sql:
            yield Problem(None, name, None, f"the {kind} {name} was changed", "schema")
    for kind, name in found.keys() - expected.keys():
        if kind == "trigger":
            yield Problem(None, name, None, f"the trigger {name} does not belong to the ledger", "schema")


def _expected_schema(version: int) -> dict[tuple[str, str], str]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for number, script in migrations():
            if number <= version:
                apply(fresh, number, script)
        return _schema(fresh)


def _schema(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
    return {(kind, name): sql for kind, name, sql in rows}


def _run_ids(db: sqlite3.Connection) -> list[Any]:
    """The runs that any table speaks of."""
    tables = " UNION ".join(f"SELECT run_id FROM {table}" for table in _TABLES)
    return [run_id for (run_id,) in db.execute(f"{tables} ORDER BY 1")]


def _run_problems(db: sqlite3.Connection, run_id: Any) -> list[Problem]:
    """The problems of one run, seen in one snapshot."""
    seals = _Seals()
    db.execute("BEGIN")
    try:
        return [
            *_chain_problems(db, run_id, seals),
            *_run_row_problems(db, run_id, seals),
            *_telemetry_problems(db, run_id, seals),
            *_evidence_problems(db, run_id, seals),
            *_anchor_problems(db, run_id),
        ]
    finally:
        if db.in_transaction:
            db.execute("COMMIT")


def _chain_problems(db: sqlite3.Connection, run_id: Any, seals: _Seals) -> Iterator[Problem]:
    expected, prev, last_seq = 1, chain.GENESIS, 0
    query = f"SELECT {', '.join(chain.EVENT_COLUMNS)}, prev, hash, seq FROM event WHERE run_id IS ? ORDER BY n, seq"
    for *row, stored_prev, hash, seq in db.execute(query, (run_id,)):
        n = row[1]
        if not isinstance(n, int) or n < expected:
            yield Problem(run_id, "event", n, f"number {n} is there twice, or is no number")
            continue
        if n > expected:
            yield Problem(run_id, "event", n, f"{_numbers(expected, n - 1)} missing before it", "missing")
        if not _same_event(stored_prev, row, hash):
            yield Problem(run_id, "event", n, "the row does not fit its hash: it was edited, replaced or moved")
        elif n == expected and stored_prev != prev:
            yield Problem(run_id, "event", n, "it does not follow the event before it: one of the two was replaced")
        if not isinstance(seq, int) or seq <= last_seq:
            yield Problem(run_id, "event", n, "it stands before an earlier event: rows were reordered")
        seals.note(n, row[2], row[3], _json(row[-1]))
        expected, prev, last_seq = n + 1, hash, seq if isinstance(seq, int) else last_seq
    if expected == 1:
        yield Problem(run_id, "event", None, "the run has no events", "missing")


def _numbers(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"


def _same_event(prev: Any, row: list[Any], hash: Any) -> bool:
    try:
        return bool(chain.event_hash(prev, row) == hash)
    except (TypeError, ValueError, AttributeError):  # a value that no ledger writes: a blob, an infinity
        return False


def _run_row_problems(db: sqlite3.Connection, run_id: Any, seals: _Seals) -> Iterator[Problem]:
    row = _rows(db, "run", chain.RUN_COLUMNS, run_id).fetchone()
    if row is None:
        yield Problem(run_id, "run", None, "the row of the run is missing", "missing")
    elif seals.run is None or _digest(chain.run_seal, row) != seals.run:
        yield Problem(run_id, "run", None, "the row differs from what the first event sealed")


def _telemetry_problems(db: sqlite3.Connection, run_id: Any, seals: _Seals) -> Iterator[Problem]:
    sealed = dict(seals.telemetry)
    for row in _rows(db, "telemetry", chain.TELEMETRY_COLUMNS, run_id, "ORDER BY invocation"):
        digest = sealed.pop(row[1], None)
        if digest is None:
            yield Problem(run_id, "telemetry", row[1], "no event speaks of this row: it was added")
        elif _digest(chain.telemetry_seal, row) != {"invocation": row[1], "sha256": digest}:
            yield Problem(run_id, "telemetry", row[1], "the row differs from what its event sealed")
    for invocation in sealed:
        yield Problem(run_id, "telemetry", invocation, "the row is missing; an event sealed it", "missing")
    for invocation in sorted(seals.started - seals.telemetry.keys(), key=str):
        yield Problem(
            run_id, "telemetry", invocation, "the invocation began and did not end: it runs now, or died", "open"
        )


def _evidence_problems(db: sqlite3.Connection, run_id: Any, seals: _Seals) -> Iterator[Problem]:
    sealed = dict(seals.evidence)
    rows = _rows(db, "evidence", chain.EVIDENCE_COLUMNS, run_id, "ORDER BY n, i")
    for n, group in itertools.groupby(rows, key=lambda row: row[1]):
        yield from _compared_evidence(
            run_id, n, [_digest(chain.evidence_seal, [row]) for row in group], sealed.pop(n, [])
        )
    for n, digests in sealed.items():
        yield from _compared_evidence(run_id, n, [], digests)


def _compared_evidence(run_id: Any, n: int, found: list[Any], sealed: list[str]) -> Iterator[Problem]:
    if len(found) < len(sealed):
        yield Problem(run_id, "evidence", n, f"{len(found)} rows of {len(sealed)} that its event sealed", "missing")
    elif len(found) > len(sealed):
        yield Problem(run_id, "evidence", n, f"{len(found)} rows, and its event sealed {len(sealed)}: rows were added")
    elif found != [[digest] for digest in sealed]:
        yield Problem(run_id, "evidence", n, "rows differ from what its event sealed: edited, replaced or reordered")


def _anchor_problems(db: sqlite3.Connection, run_id: Any) -> Iterator[Problem]:
    query = """SELECT anchor.n, place, event.n, anchor.hash = event.hash FROM anchor
        LEFT JOIN event ON event.run_id = anchor.run_id AND event.n = anchor.n WHERE anchor.run_id IS ?"""
    for n, place, found, same in db.execute(query, (run_id,)):
        if found is None:
            yield Problem(run_id, "event", n, f"the event is missing; it was anchored in {place}", "missing")
        elif not same:
            yield Problem(run_id, "event", n, f"its hash differs from the one anchored in {place}")


def _rows(db: sqlite3.Connection, table: str, columns: tuple[str, ...], run_id: Any, order: str = "") -> sqlite3.Cursor:
    return db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE run_id IS ? {order}", (run_id,))


def _digest(seal: Any, row: Any) -> Any:
    """A row's seal, or None where the row holds what no ledger writes."""
    try:
        return seal(row)
    except (TypeError, ValueError):
        return None


def _json(text: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _absent(db: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return db.execute(query, (table,)).fetchone() is None


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
