"""Compares a ledger with what was published outside it, and finds the runs that were moved into an
archive.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillrun.core.errors import LedgerUnusable
from skillrun.ledger.anchors import ARCHIVE, SEALED, Anchor
from skillrun.ledger.connection import open_reader
from skillrun.ledger.findings import Problem, RunAnchor

_HOLDING = ("run", "event", "evidence", "telemetry")
_ANY = "SELECT 1 FROM event WHERE run_id IS ? LIMIT 1"
_HASH = "SELECT hash FROM event WHERE run_id IS ? AND n IS ?"


@dataclass(frozen=True)
class Archived:
    """A run that this ledger moved away: its head then, and the archive, None where it is not found
    here.
    """

    run_id: str
    n: int
    hash: str
    place: str
    db: sqlite3.Connection | None


@dataclass
class Comparison:
    """What anchors say about the runs: which hold, which do not, and how many speak of runs of
    other ledgers.
    """

    problems: dict[tuple[str, int | None, str], Problem] = field(default_factory=dict)
    # Run -> number of the last event that an anchor holds.
    held: dict[str, int] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)

    def note_held(self, anchor: Anchor) -> None:
        """The ledger has the very event that was anchored."""
        self.held[anchor.run_id] = max(anchor.n, self.held.get(anchor.run_id, 0))
        self.places.setdefault(anchor.run_id, set()).add(anchor.place)

    def add_problem(self, anchor: Anchor, n: int | None, what: str, kind: str) -> None:
        """The ledger has another event in its place, or none."""
        table = "event"
        if n is None:
            table = "run"
        problem = Problem(anchor.run_id, table, n, f"{what} in {anchor.place}", kind)
        # One place is enough to name: the same anchor is often in a file and in notes.
        self.problems.setdefault((anchor.run_id, n, what), problem)


def is_id(value: Any) -> bool:
    """Whether it is text that can be asked for: what a ledger writes."""
    if not isinstance(value, str):
        return False
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def archived_runs(
    db: sqlite3.Connection, path: Path, opened: contextlib.ExitStack
) -> dict[str, Archived]:
    """The runs that are in an archive and no longer here. Archives stay open as long as
    `opened`.
    """
    # A run that has any row here is judged here, whatever was said of an archive.
    gone = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} WHERE run_id = anchor.run_id)" for table in _HOLDING
    )
    query = f"""
        SELECT run_id, n, hash, place FROM anchor
        WHERE kind = '{ARCHIVE}' AND {gone}
        ORDER BY run_id, n"""
    archives: dict[str, sqlite3.Connection | None] = {}
    found = {}
    for run_id, n, hash, place in db.execute(query).fetchall():
        if not (is_id(run_id) and is_id(place) and isinstance(n, int)):
            # No ledger wrote it.
            continue
        if place not in archives:
            archives[place] = _open_archive(place, path, opened)
        found[run_id] = Archived(run_id, n, hash, place, archives[place])
    return found


def _open_archive(
    place: str, path: Path, opened: contextlib.ExitStack
) -> sqlite3.Connection | None:
    """The archive where it was written, or one of its name beside the ledger; None where neither
    can be read.
    """
    for file in (Path(place), path.parent / Path(place).name):
        with contextlib.suppress(LedgerUnusable):
            db = opened.enter_context(contextlib.closing(open_reader(file)))
            db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            return db
    return None


def archive_problems(run: Archived) -> Iterator[Problem]:
    """Whether the archive still ends where it ended, or went on from there."""
    assert run.db is not None
    row = run.db.execute(_HASH, (run.run_id, run.n)).fetchone()
    if row is None:
        what = f"the event is missing in the archive {run.place}"
        yield Problem(run.run_id, "event", run.n, what, "missing")
    elif row[0] != run.hash:
        what = f"its hash differs from the one archived in {run.place}"
        yield Problem(run.run_id, "event", run.n, what)


def compare_with_anchors(
    db: sqlite3.Connection,
    anchors: Iterable[Anchor],
    archived: Mapping[str, Archived],
    own: str | None,
) -> Comparison:
    """What these anchors say. A run that is not here counts as missing where its place was named,
    or where anchors of the same ledger speak of runs that are here (`own`: of the ledger at this
    path).
    """
    found, known = Comparison(), list(anchors)
    here = set()
    for anchor in known:
        if anchor.run_id in archived or _has_events(db, anchor.run_id):
            here.add(anchor.run_id)
    ours = {own}
    # An archive has some of a ledger's runs: that others are not in it means nothing.
    if not is_archive(db):
        ours |= {anchor.ledger for anchor in known if anchor.run_id in here}
    for anchor in sorted(known, key=lambda anchor: (anchor.run_id, -anchor.n)):
        if anchor.run_id in here:
            _judge_anchor(found, anchor, _find_hash(db, anchor, archived), archived)
        elif anchor.named or anchor.ledger in ours:
            what = "the run is missing with all its rows; it was anchored"
            found.add_problem(anchor, None, what, "missing")
        else:
            found.strangers.add(anchor.run_id)
    return found


def _judge_anchor(
    found: Comparison, anchor: Anchor, hash: str | None, archived: Mapping[str, Archived]
) -> None:
    away = archived.get(anchor.run_id)
    if hash == anchor.hash:
        found.note_held(anchor)
    elif hash is not None:
        found.add_problem(anchor, anchor.n, "its hash differs from the one anchored", "altered")
    # Where the archive is not at hand, a missing event says nothing.
    elif away is None or away.db is not None:
        found.add_problem(anchor, anchor.n, "the event is missing; it was anchored", "missing")


def _find_hash(
    db: sqlite3.Connection, anchor: Anchor, archived: Mapping[str, Archived]
) -> str | None:
    """The hash of that event here or in its archive; what the ledger itself says where the archive
    is not at hand.
    """
    away = archived.get(anchor.run_id)
    if away is not None:
        if away.db is None:
            if away.n != anchor.n:
                return None
            return away.hash
        db = away.db
    row = db.execute(_HASH, (anchor.run_id, anchor.n)).fetchone()
    if not row:
        return None
    found: str = row[0]
    return found


def _has_events(db: sqlite3.Connection, run_id: str) -> bool:
    return db.execute(_ANY, (run_id,)).fetchone() is not None


def is_archive(db: sqlite3.Connection) -> bool:
    """Whether the file says that it was made by archiving: other runs of the same ledger are
    elsewhere then.
    """
    query = f"SELECT 1 FROM anchor WHERE kind = '{SEALED}' LIMIT 1"
    return db.execute(query).fetchone() is not None


def standings(
    db: sqlite3.Connection, compared: Comparison, archived: Mapping[str, Archived]
) -> tuple[RunAnchor, ...]:
    """For each run, newest last, up to where it is anchored."""
    numbers = "SELECT run_id, max(n) FROM event WHERE typeof(n) = 'integer' GROUP BY run_id"
    last: dict[str, tuple[int, str | None]] = {}
    for run_id, n in db.execute(numbers):
        if is_id(run_id):
            last[run_id] = (n, None)
    for run in archived.values():
        last[run.run_id] = (run.n, run.place)
    found = []
    # An id begins with the time at which its run began.
    for run_id, (n, archive) in sorted(last.items(), key=lambda item: str(item[0])):
        held = compared.held.get(run_id, 0)
        places = tuple(sorted(compared.places.get(run_id, ())))
        found.append(RunAnchor(run_id, n, held, places, archive))
    return tuple(found)
