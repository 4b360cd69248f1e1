"""Anchors: the heads of runs as they are published outside a ledger, one line of text each, and
read back.

A line says all that it means, so that notes and files can be merged line by line, in any order, any
number of times.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from skillrun.ledger.connection import BUSY_MS, explained, open_reader, open_writer
from skillrun.ledger.rows import STAGE_FINISHED

# Kinds of rows that no publishing wrote: see archive.py.
ARCHIVE, SEALED = "archive", "sealed"
_LINE = re.compile(
    r"skillrun-anchor/1 ([0-9a-f]{16}) (\S{1,200}) ([1-9][0-9]{0,17}) ([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Anchor:
    """The hash of a run's event `n`, as it was published. `ledger` tells ledgers apart without
    naming them.
    """

    ledger: str  # 16 hexadecimal digits
    run_id: str
    n: int
    hash: str
    place: str = ""  # where it was read
    named: bool = False  # the caller named this place: what it speaks of must be in the ledger

    @property
    def line(self) -> str:
        """As it is published."""
        return f"skillrun-anchor/1 {self.ledger} {quote(self.run_id, safe='')} {self.n} {self.hash}"


def read_lines(text: str, place: str, *, named: bool = False) -> list[Anchor]:
    """The anchors in a text; lines that are none are passed over."""
    anchors = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            ledger, run_id, n, hash = match.groups()
            anchors.append(Anchor(ledger, unquote(run_id), int(n), hash, place, named))
    return anchors


def list_heads(path: Path, ledger: str, *, busy_ms: int = BUSY_MS) -> list[Anchor]:
    """The last event of every run of a ledger."""
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        rows = db.execute("SELECT run_id, max(n), hash FROM event GROUP BY run_id ORDER BY run_id")
        return [Anchor(ledger, *row) for row in rows]


def record_anchors(
    path: Path, anchors: Iterable[Anchor], kind: str, place: str, *, busy_ms: int = BUSY_MS
) -> int:
    """Remembers in the ledger what was published; returns how many of them are new. Doing it twice
    changes nothing.
    """
    with contextlib.closing(open_writer(path, busy_ms)) as db, explained(path, busy_ms):
        db.execute("BEGIN IMMEDIATE")
        try:
            added = sum(insert_anchor(db, anchor, kind, place) for anchor in anchors)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return added


def insert_anchor(db: sqlite3.Connection, anchor: Anchor, kind: str, place: str) -> int:
    """Writes one row of `anchor` within the caller's transaction, unless it is there; returns how
    many it wrote.
    """
    # Asked first: on a known row the table's trigger aborts, before ON CONFLICT is looked at.
    known = """
        SELECT 1 FROM anchor
        WHERE run_id = :run_id AND n = :n AND kind = :kind AND place = :place"""
    values = {
        "run_id": anchor.run_id,
        "n": anchor.n,
        "kind": kind,
        "place": place,
        "hash": anchor.hash,
        "ts_us": time.time_ns() // 1000,
    }
    query = f"""
        INSERT INTO anchor (run_id, n, kind, place, hash, ts_us)
        SELECT :run_id, :n, :kind, :place, :hash, :ts_us
        WHERE NOT EXISTS ({known})"""
    return db.execute(query, values).rowcount


def list_places(path: Path, kinds: Sequence[str], *, busy_ms: int = BUSY_MS) -> list[str]:
    """Where a ledger remembers to have published, for these kinds; nothing where it is too damaged
    to say.
    """
    wanted = ", ".join("?" * len(kinds))
    query = f"SELECT DISTINCT place FROM anchor WHERE kind IN ({wanted}) ORDER BY place"
    with (
        contextlib.closing(open_reader(path, busy_ms)) as db,
        contextlib.suppress(sqlite3.DatabaseError),
    ):
        return [place for (place,) in db.execute(query, tuple(kinds))]
    return []


def is_published(path: Path, run_id: str, *, busy_ms: int = BUSY_MS) -> bool:
    """Whether the ledger remembers that the run was published with all the stages that it has
    examined since.
    """
    query = f"""
        SELECT 1 FROM anchor
        WHERE run_id = :run_id
            AND kind NOT IN ('{ARCHIVE}', '{SEALED}')
            AND n >= (
                SELECT max(n) FROM event
                WHERE run_id = :run_id AND type = '{STAGE_FINISHED}'
            )"""
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        return db.execute(query, {"run_id": run_id}).fetchone() is not None
