"""A process that appends to a ledger: `ledger_worker.py LEDGER RUN|new COUNT [JOURNAL]
[MAX_BYTES]`.

Says that it is ready, waits for a line, then prints run and number of each event once it is
acknowledged. COUNT 0 never ends.
"""

from __future__ import annotations

import itertools
import resource
import sys
from pathlib import Path

from ledgers import run_start

from skillrun.core.errors import SkillrunError
from skillrun.ledger import connection
from skillrun.ledger.store import Ledger, NewEvent


def main(path: str, run: str, count: str, journal: str = "", max_bytes: str = "") -> None:
    if journal:
        connection.journal_mode = lambda version: journal
    with Ledger.open(Path(path)) as ledger:
        run_id = ledger.start_run(run_start()) if run == "new" else run
        if max_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(max_bytes), resource.RLIM_INFINITY))
        for i in range(int(count)) if int(count) else itertools.count():
            (stored,) = ledger.append(
                run_id, [NewEvent("stage.finished", "identify", data={"i": i, "fill": "x" * 500})]
            )
            print(run_id, stored.n, flush=True)


print("ready", flush=True)
sys.stdin.readline()
try:
    main(*sys.argv[1:])
except SkillrunError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(error.exit_code)
