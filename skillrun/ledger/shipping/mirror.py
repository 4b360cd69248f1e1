"""A local copy of a ledger in PostgreSQL: every question is asked there, by the same code and SQL
as of a file.

The copy is kept, and only what is new is fetched; `fresh` fetches all of it, for an auditor who
believes no copy.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.canonical import sha256
from skillrun.core.errors import Blocked, LedgerUnusable
from skillrun.ledger.connection import BUSY_MS, explained, open_writer
from skillrun.ledger.shipping.parcel import COLUMNS
from skillrun.ledger.shipping.server import first_line, hide_secrets, load_driver

if TYPE_CHECKING:
    import psycopg

# Fetched at a time.
_RUNS = 200
_ANCHOR = ("run_id", "n", "kind", "place", "hash", "ts_us")
_ORDER = {
    "run": "run_id",
    "event": "run_id, n",
    "evidence": "run_id, n, i",
    "telemetry": "run_id, invocation",
}


def refresh_mirror(url: str, folder: Path | None = None) -> Path:
    """The file that holds what is at `url` now; `folder`: a whole new copy in there, else the one
    that is kept.

    Raises Misuse for an address that is none, and Blocked where the database cannot be reached or
    holds no ledger.
    """
    name = f"{sha256(hide_secrets(url).encode())[:16]}.db"
    if folder is None:
        folder = _cache_folder()
    path = folder / name
    psycopg = load_driver()
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="skillrun") as far:
            far.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            far.execute("SET LOCAL search_path = skillrun")
            with contextlib.closing(open_writer(path)) as here, explained(path, BUSY_MS):
                _fetch_new_runs(far, here)
    except psycopg.errors.UndefinedTable as error:
        hint = "skillrun ledger ship --to sends one there"
        raise Blocked(f"{hide_secrets(url)}: no ledger in this database", hint=hint) from error
    except psycopg.Error as error:
        raise Blocked(
            f"{hide_secrets(url)}: {first_line(error)}",
            hint="check the address, and whether you may read",
        ) from error
    except LedgerUnusable as error:
        hint = "it is a copy: delete it, or have it elsewhere with XDG_CACHE_HOME=FOLDER"
        raise LedgerUnusable(error.message, hint=hint) from error
    return path


def _cache_folder() -> Path:
    """Where the copies are, as freedesktop.org's base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skillrun" / "mirrors"


def _fetch_new_runs(far: psycopg.Connection[Any], here: sqlite3.Connection) -> None:
    """Brings the copy up to date in one transaction."""
    here.execute("PRAGMA foreign_keys = OFF")
    # Rows come as they are: verify judges them.
    here.execute("PRAGMA ignore_check_constraints = ON")
    # What was redacted there is gone from the copy, too.
    here.execute("PRAGMA secure_delete = ON")
    here.execute("BEGIN IMMEDIATE")
    with _without_triggers(here):
        heads = dict(here.execute("SELECT run_id, max(n) FROM event GROUP BY run_id"))
        there = far.execute("SELECT run_id, max(n) FROM event GROUP BY run_id").fetchall()
        # Runs only grow. One whose texts were taken out has grown as well: an event says so.
        behind = sorted(run_id for run_id, n in there if heads.get(run_id) != n)
        for start in range(0, len(behind), _RUNS):
            _fetch_runs(far, here, behind[start : start + _RUNS])
        _insert_rows(
            here, "anchor", _ANCHOR, far.execute(f"SELECT {', '.join(_ANCHOR)} FROM anchor")
        )
    here.execute("COMMIT")


def _fetch_runs(far: psycopg.Connection[Any], here: sqlite3.Connection, runs: list[str]) -> None:
    for table, columns in COLUMNS.items():
        here.executemany(f"DELETE FROM {table} WHERE run_id = ?", [(run_id,) for run_id in runs])
        query = f"""
            SELECT {", ".join(columns)} FROM {table}
            WHERE run_id = ANY(%s)
            ORDER BY {_ORDER[table]}"""
        _insert_rows(here, table, columns, far.execute(query, (runs,)))


def _insert_rows(
    here: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    here.executemany(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})", rows)


@contextlib.contextmanager
def _without_triggers(here: sqlite3.Connection) -> Iterator[None]:
    """A copy is no ledger that is written: what stands there comes in, also what no ledger would
    take.
    """
    triggers = here.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        here.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        here.execute(sql)
