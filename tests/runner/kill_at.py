"""Runs the command line and kills this very process with SIGKILL beside its k-th commit.

`python kill_at.py before|after K ARGS...`. Every transaction of the ledger is counted: those of its
creation too.
Exits as the command does where there are fewer commits, after writing their number to the file in
KILL_AT_COUNT.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

_BEGINS = sqlite3.connect


class Killing(sqlite3.Connection):
    """A connection that counts commits over all connections of the process."""

    when, k, seen = "before", 0, 0

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql.strip().upper() != "COMMIT":
            return super().execute(sql, *args)
        Killing.seen += 1
        if Killing.seen == Killing.k and Killing.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        cursor = super().execute(sql, *args)
        if Killing.seen == Killing.k:
            os.kill(os.getpid(), signal.SIGKILL)
        return cursor


def _connect(*args: Any, **options: Any) -> sqlite3.Connection:
    return _BEGINS(*args, **{**options, "factory": Killing})


if __name__ == "__main__":
    Killing.when, Killing.k = sys.argv[1], int(sys.argv[2])
    sqlite3.connect = _connect  # type: ignore[assignment]
    sys.argv = ["skillrun", *sys.argv[3:]]
    from skillrun.__main__ import main

    try:
        main()
    finally:
        Path(os.environ["KILL_AT_COUNT"]).write_text(str(Killing.seen))
