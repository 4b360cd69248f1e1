"""Takes append-only triggers away for the length of one transaction, which puts exactly the same
ones back.

The transaction holds the write lock: no other process can write while they are away, and none ever
sees the file without them. Where a process dies, SQLite rolls its transaction back and they are
there. Another way, a new file renamed over the old one, would let a process that has the old file
open go on writing to what nobody will read again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from skillrun.core.errors import Refused
from skillrun.ledger.verify_schema import expected_schema


@contextlib.contextmanager
def without_triggers(db: sqlite3.Connection, names: Sequence[str]) -> Iterator[None]:
    """Within the caller's transaction. Raises Refused where a trigger is not the one that the
    migrations made.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    expected = expected_schema(version)
    for name in names:
        found = db.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?", (name,)
        ).fetchone()
        if found is None or found[0] != expected["trigger", name]:
            raise Refused(
                f"the trigger {name} is not the ledger's own", hint="see skillrun ledger verify"
            )
    for name in names:
        db.execute(f"DROP TRIGGER {name}")
    yield
    for name in names:
        db.execute(expected["trigger", name])
