"""Measures `ledger ship` against a plain COPY of the same events into a bare table: ratios within
this one run.

    python tests/bench/ship_bench.py [--events N]

Prints the rates, what the rest of a row costs (evidence, telemetry, checks, indexes), and the lag:
how long after an append its event is in the database when a shipper is called right then.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ledger"))

from ledgers import run_start, telemetry

from skillrun.ledger.shipping.parcel import EVENT_ROW
from skillrun.ledger.shipping.ship import ship_ledger
from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent
from skillrun.proof.services.postgres import PostgresServer

STAGES = 9


def fill(path: Path, events: int) -> None:
    """Runs of twelve events, nine of them with a row of evidence."""
    with Ledger.open(path) as ledger:
        ledger._db.execute("PRAGMA synchronous = OFF")  # the filling is not measured
        for number in range(events // (STAGES + 3)):
            run_id = ledger.start_run(run_start(f"job-{number % 40}"))
            ledger.append(run_id, [NewEvent("invocation.started", invocation=1)])
            for stage in range(STAGES):
                event = NewEvent(
                    "stage.finished", f"stage{stage}", outcome="passed", invocation=1, dur_us=1000
                )
                ledger.append(
                    run_id,
                    [event],
                    evidence=[EvidenceRow("file", f"shop/{stage}.py", "7" * 64, 12, 3)],
                )
            ledger.append(
                run_id, [NewEvent("invocation.ended", invocation=1)], telemetry=telemetry(run_id)
            )


def copied_s(path: Path, url: str) -> float:
    """A COPY of all events, read from the same file, into a table without a key."""
    begun = time.perf_counter()
    with sqlite3.connect(path) as here, psycopg.connect(url) as far:
        far.execute(f"CREATE TABLE bare ({', '.join(f'{name} text' for name in EVENT_ROW)})")
        with far.cursor().copy(f"COPY bare ({', '.join(EVENT_ROW)}) FROM STDIN") as copy:
            for row in here.execute(f"SELECT {', '.join(EVENT_ROW)} FROM event"):
                copy.write_row([None if value is None else str(value) for value in row])
    return time.perf_counter() - begun


def lag_s(path: Path, url: str) -> float:
    """From before an append to after the call that ships it."""
    with Ledger.open(path) as ledger:
        run_id = str(ledger.runs(limit=1)[0]["run_id"])
        begun = time.perf_counter()
        ledger.append(run_id, [NewEvent("waiver.given")])
    ship_ledger(path, url)
    return time.perf_counter() - begun


def main() -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=120_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ship-bench-") as folder:
        path = Path(folder) / "ledger.db"
        fill(path, options.events)
        server = PostgresServer(Path(folder) / "pg")
        try:
            bare = copied_s(path, server.url)
            begun = time.perf_counter()
            shipped = ship_ledger(path, server.url)
            took = time.perf_counter() - begun
            lag = statistics.median(lag_s(path, server.url) for _ in range(9))
        finally:
            server.stop()
    print(
        f"ship               {shipped.events} events with evidence and telemetry of {shipped.runs}"
        f" runs: {bare / took:.2f}x the rate of a plain COPY of the events alone"
    )
    print(
        f"lag                {lag / took * shipped.events:.0f} events' worth of shipping,"
        " connection included"
    )


if __name__ == "__main__":
    main()
