"""Is the file a sound database, with exactly the tables, indexes, triggers and views of the
migrations?
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from skillrun.ledger.findings import Problem
from skillrun.ledger.migrate import apply_migration, read_migrations
from skillrun.ledger.versions import SCHEMA_VERSION


def file_problems(db: sqlite3.Connection) -> Iterator[Problem]:
    """What SQLite itself finds wrong with its pages."""
    # A page that is lost brings hundreds of messages; the first ones say which it is.
    for (message,) in db.execute("PRAGMA integrity_check(20)"):
        if message != "ok":
            yield Problem(None, "file", None, message, "schema")


def schema_problems(db: sqlite3.Connection) -> Iterator[Problem]:
    """Tables, indexes, triggers and views against those of the migrations; triggers that we did not
    write.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    expected, found = expected_schema(version), schema_of(db)
    for (kind, name), sql in expected.items():
        if (kind, name) not in found:
            yield Problem(None, name, None, f"the {kind} {name} is missing", "schema")
        elif found[kind, name] != sql:
            yield Problem(None, name, None, f"the {kind} {name} was changed", "schema")
    later = expected_schema(SCHEMA_VERSION)
    for kind, name in sorted(found.keys() - expected.keys()):
        if (kind, name) in later:
            what = f"the {kind} {name} is of a later version than the file says"
            yield Problem(None, name, None, what, "schema")
        # A trigger of somebody else's may change what an append writes; a table cannot.
        elif kind == "trigger":
            what = f"the trigger {name} does not belong to the ledger"
            yield Problem(None, name, None, what, "schema")


def list_strangers(db: sqlite3.Connection) -> list[str]:
    """Tables, indexes and views that some other program made; they change nothing of the ledger's
    own.
    """
    known = expected_schema(SCHEMA_VERSION)
    found = []
    for kind, name in sorted(schema_of(db).keys() - known.keys()):
        # Triggers are problems, see above; SQLite itself makes what is named sqlite_.
        if kind != "trigger" and not name.startswith("sqlite_"):
            found.append(f"the {kind} {name}")
    return found


def expected_schema(version: int) -> dict[tuple[str, str], str]:
    """(kind, name) -> SQL of everything that the migrations up to a version make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for number, script in read_migrations():
            if number <= version:
                apply_migration(fresh, number, script)
        return schema_of(fresh)


def schema_of(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """(kind, name) -> SQL of everything that is in a file."""
    rows = db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name"
    )
    return {(kind, name): sql for kind, name, sql in rows}
