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
    SELECT
        run_id,
        count(*),
        max(n),
        (SELECT hash FROM event AS last WHERE last.run_id = event.run_id ORDER BY n DESC),
        (SELECT count(*) FROM evidence WHERE evidence.run_id = event.run_id),
        (SELECT count(*) FROM telemetry WHERE telemetry.run_id = event.run_id),
        coalesce(max(n) FILTER (WHERE seq <= ?), 0)
    FROM event
    GROUP BY run_id
"""
# The cursor never goes back here, also where two processes send at once and the slower one is the
# last to say how far it came.
_MOVE_CURSOR = """
    INSERT INTO sink_cursor (sink, last_seq, updated_us)
    VALUES (?, ?, ?)
    ON CONFLICT (sink) DO UPDATE SET
        last_seq = max(last_seq, excluded.last_seq),
        updated_us = excluded.updated_us
"""
# The first event that was refused stays the one that is named: what follows waits with it.
_RECORD_REFUSAL = """
    INSERT INTO sink_refusal (sink, run_id, n, reason, ts_us)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (sink, run_id) DO UPDATE SET
        n = min(n, excluded.n),
        reason = excluded.reason
"""
# Characters of what a database says, kept in each ledger.
_LONGEST_REASON = 500


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

    def read_cursor(self) -> int:
        """`seq` of the last event that needs no sending any more."""
        found = self._select_all("SELECT last_seq FROM sink_cursor WHERE sink = ?", self.sink)
        if not found:
            return 0
        return int(found[0][0])

    def list_holdings(self) -> dict[str, Sent]:
        """What this ledger holds of each run, and how much of it lies before the cursor."""
        with self._one_snapshot():
            rows = self._select_all(_HOLDINGS, self.read_cursor())
        found = {}
        for run_id, *holding, last_sent in rows:
            found[run_id] = Sent(Holding(*holding), int(last_sent))
        return found

    def set_cursor_back(self) -> tuple[int, int] | None:
        """Where the cursor stands behind the last event, it is set to that one: (where it stood,
        where it stands).

        Somebody moved it; or the ledger is an older copy, or its last runs were archived, and new
        events take numbers that were used before. Which of them were sent is found by a comparison
        with the receiver.
        """
        with self._write_transaction():
            newest = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
            stood = self.read_cursor()
            if stood <= newest:
                return None
            update = "UPDATE sink_cursor SET last_seq = ? WHERE sink = ?"
            self._db.execute(update, (newest, self.sink))
        return stood, newest

    def count_waiting(self) -> int:
        """How many events are still to be sent, those of refused runs not counted."""
        return int(
            self._select_all("SELECT count(*) FROM event WHERE seq > ?", self.read_cursor())[0][0]
        )

    def read_next(self, most: int) -> tuple[list[Parcel], int]:
        """(the next events in the order of their arrival, at most so many, by run; the `seq` of the
        last of them, 0 where there is none).
        """
        query = f"""
            SELECT {", ".join(EVENT_ROW)}, seq FROM event
            WHERE seq > ?
            ORDER BY seq
            LIMIT ?"""
        with self._one_snapshot():
            rows = self._select_all(query, self.read_cursor(), most)
            runs: dict[str, list[Sequence[Any]]] = {}
            for *event, _ in rows:
                runs.setdefault(str(event[0]), []).append(event)
            parcels = [self._pack_parcel(run_id, events) for run_id, events in runs.items()]
        last_seq = 0
        if rows:
            last_seq = int(rows[-1][-1])
        return parcels, last_seq

    def read_whole_run(self, run_id: str) -> Parcel | None:
        """All of a run up to where the others have been sent; None where nothing is left of it."""
        query = f"""
            SELECT {", ".join(EVENT_ROW)} FROM event
            WHERE run_id = ? AND seq <= ?
            ORDER BY n"""
        with self._one_snapshot():
            events = self._select_all(query, run_id, self.read_cursor())
            if not events:
                return None
            return self._pack_parcel(run_id, events)

    def _pack_parcel(self, run_id: str, events: list[Sequence[Any]]) -> Parcel:
        """The events with all rows that they seal; an invocation's row goes with the event that
        seals it, and not before.
        """
        first, last = events[0][1], events[-1][1]
        between = f"AND n BETWEEN {int(first)} AND {int(last)} ORDER BY n, i"
        rows = {
            "run": self._select_rows("run", run_id),
            "event": events,
            "evidence": self._select_rows("evidence", run_id, between),
            "telemetry": self._read_sealed_telemetry(run_id, events),
        }
        # Texts that were taken out of events which the receiver has had: they go out there, too.
        numbers: set[int] = set()
        for event in events:
            numbers.update(redacted_by(event))
        gone = json.dumps(sorted(numbers))
        named = "AND n IN (SELECT value FROM json_each(?)) ORDER BY n"
        redacted = {
            "event": self._select_rows("event", run_id, named, gone),
            "evidence": self._select_rows("evidence", run_id, f"{named}, i", gone),
        }
        return Parcel(run_id, rows, redacted)

    def _read_sealed_telemetry(
        self, run_id: str, events: list[Sequence[Any]]
    ) -> list[Sequence[Any]]:
        sealed = set()
        for event in events:
            seal = seal_of(event).get("telemetry")
            if seal:
                sealed.add(seal["invocation"])
        rows = self._select_rows("telemetry", run_id, "ORDER BY invocation")
        return [row for row in rows if row[1] in sealed]

    def _select_rows(
        self, table: str, run_id: str, rest: str = "", *values: Any
    ) -> list[Sequence[Any]]:
        names = ", ".join(COLUMNS[table])
        query = f"SELECT {names} FROM {table} WHERE run_id = ? {rest}"
        return self._select_all(query, run_id, *values)

    # -- what became of it

    def record_sent(self, seq: int, refused: Sequence[tuple[str, int, str]] = ()) -> None:
        """Everything up to `seq` is there, or refused: (run, event, reason). One transaction."""
        now = time.time_ns() // 1000
        with self._write_transaction():
            self._db.execute(_MOVE_CURSOR, (self.sink, seq, now))
            for run_id, n, reason in refused:
                row = (self.sink, run_id, n, reason[:_LONGEST_REASON], now)
                self._db.execute(_RECORD_REFUSAL, row)

    def list_refused(self) -> dict[str, tuple[int, str]]:
        """Run -> (event, reason) of what the receiver did not take."""
        query = "SELECT run_id, n, reason FROM sink_refusal WHERE sink = ? ORDER BY 1"
        found = self._select_all(query, self.sink)
        return {run_id: (n, reason) for run_id, n, reason in found}

    def record_taken(self, run_id: str) -> None:
        """A refused run was taken after all."""
        with self._write_transaction():
            delete = "DELETE FROM sink_refusal WHERE sink = ? AND run_id = ?"
            self._db.execute(delete, (self.sink, run_id))

    def _select_all(self, query: str, *values: Any) -> list[Any]:
        with explained(self.path, BUSY_MS):
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _one_snapshot(self) -> Iterator[None]:
        """One snapshot."""
        with self._open_transaction("BEGIN"):
            yield

    @contextlib.contextmanager
    def _write_transaction(self) -> Iterator[None]:
        with self._open_transaction("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def _open_transaction(self, begin: str) -> Iterator[None]:
        with explained(self.path, BUSY_MS):
            self._db.execute(begin)
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back by itself; the first error is the one to see.
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
