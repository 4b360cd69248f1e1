"""The local end: which events a receiver has not had yet, how far it came, and which runs it
refused.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from skillrun.ledger.connection import BUSY_MS, explained, open_writer
from skillrun.ledger.shipping.compare import Holding, Sent
from skillrun.ledger.shipping.parcel import COLUMNS, EVENT_ROW, Parcel, redacted_by, seal_of

# Every run: its events, the number and hash of the last one, the rows beside them, and the last one
# that was sent.
_HOLDINGS = """
    SELECT run_id, count(*), max(n), (SELECT hash FROM event AS last WHERE last.run_id = event.run_id ORDER BY n DESC),
        (SELECT count(*) FROM evidence WHERE evidence.run_id = event.run_id),
        (SELECT count(*) FROM telemetry WHERE telemetry.run_id = event.run_id),
        coalesce(max(n) FILTER (WHERE seq <= ?), 0)
    FROM event GROUP BY run_id
"""


class Outbox:
    """A ledger file as seen by one receiver; a context manager that closes it."""

    def __init__(self, path: Path, sink: str) -> None:
        """Raises LedgerUnusable."""
        self.path, self.sink = path, sink
        self._db = open_writer(path)

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def cursor(self) -> int:
        """`seq` of the last event that needs no sending any more."""
        found = self._all("SELECT last_seq FROM sink_cursor WHERE sink = ?", self.sink)
        return int(found[0][0]) if found else 0

    def holdings(self) -> dict[str, Sent]:
        """What this ledger holds of each run, and how much of it lies before the cursor."""
        with self._reading():
            rows = self._all(_HOLDINGS, self.cursor())
        return {
            run_id: Sent(Holding(*holding), int(last_sent)) for run_id, *holding, last_sent in rows
        }

    def set_cursor_back(self) -> tuple[int, int] | None:
        """Where the cursor stands behind the last event, it is set to that one: (where it stood,
        where it stands).

        Somebody moved it; or the ledger is an older copy, or its last runs were archived, and new
        events take numbers that were used before. Which of them were sent is found by a comparison
        with the receiver.
        """
        with self._writing():
            newest = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
            stood = self.cursor()
            if stood <= newest:
                return None
            self._db.execute(
                "UPDATE sink_cursor SET last_seq = ? WHERE sink = ?", (newest, self.sink)
            )
        return stood, newest

    def waiting(self) -> int:
        """How many events are still to be sent, those of refused runs not counted."""
        return int(self._all("SELECT count(*) FROM event WHERE seq > ?", self.cursor())[0][0])

    def next(self, most: int) -> tuple[list[Parcel], int]:
        """(the next events in the order of their arrival, at most so many, by run; the `seq` of the
        last of them).
        """
        query = f"SELECT {', '.join(EVENT_ROW)}, seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._reading():
            rows = self._all(query, self.cursor(), most)
            runs: dict[str, list[Sequence[Any]]] = {}
            for *event, _ in rows:
                runs.setdefault(str(event[0]), []).append(event)
            parcels = [self._parcel(run_id, events) for run_id, events in runs.items()]
        return parcels, int(rows[-1][-1]) if rows else 0

    def whole(self, run_id: str) -> Parcel | None:
        """All of a run up to where the others have been sent; None where nothing is left of it."""
        query = f"SELECT {', '.join(EVENT_ROW)} FROM event WHERE run_id = ? AND seq <= ? ORDER BY n"
        with self._reading():
            events = self._all(query, run_id, self.cursor())
            return self._parcel(run_id, events) if events else None

    def _parcel(self, run_id: str, events: list[Sequence[Any]]) -> Parcel:
        first, last = events[0][1], events[-1][1]
        seals = [seal_of(event).get("telemetry") for event in events]
        sealed = {seal["invocation"] for seal in seals if seal}
        telemetry = [
            row
            for row in self._rows("telemetry", run_id, "ORDER BY invocation")
            if row[1] in sealed
        ]
        between = f"AND n BETWEEN {int(first)} AND {int(last)} ORDER BY n, i"
        evidence = self._rows("evidence", run_id, between)
        rows = {
            "run": self._rows("run", run_id),
            "event": events,
            "evidence": evidence,
            "telemetry": telemetry,
        }
        gone = json.dumps(sorted({n for event in events for n in redacted_by(event)}))
        named = "AND n IN (SELECT value FROM json_each(?)) ORDER BY n"
        redacted = {
            "event": self._rows("event", run_id, named, gone),
            "evidence": self._rows("evidence", run_id, f"{named}, i", gone),
        }
        return Parcel(run_id, rows, redacted)

    def _rows(self, table: str, run_id: str, rest: str = "", *values: Any) -> list[Sequence[Any]]:
        return self._all(
            f"SELECT {', '.join(COLUMNS[table])} FROM {table} WHERE run_id = ? {rest}",
            run_id,
            *values,
        )

    # -- what became of it

    def sent(self, seq: int, refused: Sequence[tuple[str, int, str]] = ()) -> None:
        """Everything up to `seq` is there, or refused: (run, event, reason). One transaction."""
        now = time.time_ns() // 1000
        with self._writing():
            self._db.execute(
                "INSERT INTO sink_cursor (sink, last_seq, updated_us) VALUES (?, ?, ?) ON CONFLICT"
                " (sink) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq), updated_us ="
                " excluded.updated_us",
                (self.sink, seq, now),
            )
            for run_id, n, reason in refused:
                self._db.execute(
                    "INSERT INTO sink_refusal (sink, run_id, n, reason, ts_us) VALUES (?, ?, ?, ?,"
                    " ?) ON CONFLICT (sink, run_id) DO UPDATE SET n = min(n, excluded.n), reason ="
                    " excluded.reason",
                    (self.sink, run_id, n, reason[:500], now),
                )

    def refused(self) -> dict[str, tuple[int, str]]:
        """Run -> (event, reason) of what the receiver did not take."""
        found = self._all(
            "SELECT run_id, n, reason FROM sink_refusal WHERE sink = ? ORDER BY 1", self.sink
        )
        return {run_id: (n, reason) for run_id, n, reason in found}

    def taken(self, run_id: str) -> None:
        """A refused run was taken after all."""
        with self._writing():
            self._db.execute(
                "DELETE FROM sink_refusal WHERE sink = ? AND run_id = ?", (self.sink, run_id)
            )

    def _all(self, query: str, *values: Any) -> list[Any]:
        with explained(self.path, BUSY_MS):
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """One snapshot."""
        with self._transaction("BEGIN"):
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with explained(self.path, BUSY_MS):
            self._db.execute(begin)
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
