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

from skillrun.errors import LedgerUnusable
from skillrun.ledger.anchors import ARCHIVE, SEALED, Anchor
from skillrun.ledger.connection import open_reader
from skillrun.ledger.findings import Problem, RunAnchor

_HOLDING = ("run", "event", "evidence", "telemetry")
_HEAD = "SELECT n, hash FROM event WHERE run_id IS ? ORDER BY n DESC LIMIT 1"
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

    def hold(self, anchor: Anchor) -> None:
        """The ledger has the very event."""
        self.held[anchor.run_id] = max(anchor.n, self.held.get(anchor.run_id, 0))
        self.places.setdefault(anchor.run_id, set()).add(anchor.place)

    def add(self, anchor: Anchor, n: int | None, what: str, kind: str) -> None:
        """The ledger has not."""
        table = "run" if n is None else "event"
        key = (anchor.run_id, n, what)
        self.problems.setdefault(
            key, Problem(anchor.run_id, table, n, f"{what} in {anchor.place}", kind)
        )


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
    gone = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} WHERE run_id = anchor.run_id)" for table in _HOLDING
    )
    query = (
        f"SELECT run_id, n, hash, place FROM anchor WHERE kind = '{ARCHIVE}' AND {gone} ORDER BY"
        " run_id, n"
    )
    archives: dict[str, sqlite3.Connection | None] = {}
    found = {}
    for run_id, n, hash, place in db.execute(query).fetchall():
        if not (is_id(run_id) and is_id(place) and isinstance(n, int)):
            continue  # no ledger wrote it
        if place not in archives:
            archives[place] = _open(place, path, opened)
        found[run_id] = Archived(run_id, n, hash, place, archives[place])
    return found


def _open(place: str, path: Path, opened: contextlib.ExitStack) -> sqlite3.Connection | None:
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
        yield Problem(
            run.run_id,
            "event",
            run.n,
            f"the event is missing in the archive {run.place}",
            "missing",
        )
    elif row[0] != run.hash:
        yield Problem(
            run.run_id, "event", run.n, f"its hash differs from the one archived in {run.place}"
        )


def compare(
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
    here = {a.run_id for a in known if a.run_id in archived or _head(db, a.run_id)}
    ours = {a.ledger for a in known if a.run_id in here} | {own}
    if is_archive(db):
        ours = {own}
    for anchor in sorted(known, key=lambda a: (a.run_id, -a.n)):
        if anchor.run_id in here:
            _judge(found, anchor, _hash(db, anchor, archived), archived)
        elif anchor.named or anchor.ledger in ours:
            found.add(
                anchor, None, "the run is missing with all its rows; it was anchored", "missing"
            )
        else:
            found.strangers.add(anchor.run_id)
    return found


def _judge(
    found: Comparison, anchor: Anchor, hash: str | None, archived: Mapping[str, Archived]
) -> None:
    away = archived.get(anchor.run_id)
    if hash == anchor.hash:
        found.hold(anchor)
    elif hash is not None:
        found.add(anchor, anchor.n, "its hash differs from the one anchored", "altered")
    elif away is None or away.db is not None:
        found.add(anchor, anchor.n, "the event is missing; it was anchored", "missing")


def _hash(db: sqlite3.Connection, anchor: Anchor, archived: Mapping[str, Archived]) -> str | None:
    """The hash of that event here or in its archive; what the ledger itself says where the archive
    is not at hand.
    """
    away = archived.get(anchor.run_id)
    if away is not None and away.db is None:
        return away.hash if away.n == anchor.n else None
    row = (
        (away.db if away is not None and away.db else db)
        .execute(_HASH, (anchor.run_id, anchor.n))
        .fetchone()
    )
    return row[0] if row else None


def _head(db: sqlite3.Connection, run_id: str) -> tuple[int, str] | None:
    row: tuple[int, str] | None = db.execute(_HEAD, (run_id,)).fetchone()
    return row


def is_archive(db: sqlite3.Connection) -> bool:
    """Whether the file says that it was made by archiving: other runs of the same ledger are
    elsewhere then.
    """
    return (
        db.execute(f"SELECT 1 FROM anchor WHERE kind = '{SEALED}' LIMIT 1").fetchone() is not None
    )


def standings(
    db: sqlite3.Connection, compared: Comparison, archived: Mapping[str, Archived]
) -> tuple[RunAnchor, ...]:
    """For each run, newest last, up to where it is anchored."""
    numbers = "SELECT run_id, max(n) FROM event WHERE typeof(n) = 'integer' GROUP BY run_id"
    last = {run_id: (n, None) for run_id, n in db.execute(numbers) if is_id(run_id)}
    away = {run.run_id: (run.n, run.place) for run in archived.values()}
    return tuple(
        RunAnchor(
            run_id,
            n,
            compared.held.get(run_id, 0),
            tuple(sorted(compared.places.get(run_id, ()))),
            place,
        )
        for run_id, (n, place) in sorted({**last, **away}.items(), key=lambda item: str(item[0]))
    )
