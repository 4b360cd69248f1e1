"""What is exported: chosen runs of a ledger, read run by run, each in one short read
transaction.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import Any

from skillrun.core.errors import Misuse
from skillrun.ledger.chain import seal_of
from skillrun.ledger.connection import BUSY_MS, explained, open_reader

TABLES = {
    "run": "run_id",
    "event": "run_id, n",
    "evidence": "run_id, n, i",
    "telemetry": "run_id, invocation",
    "anchor": "run_id, n, kind, place",
}
"""Table -> the order of its rows. `sink_cursor` speaks of this file alone and is not exported."""
_JSON = (
    "data",
    "detail",
    "base_tree",
    "files_touched",
    "checks_attempted",
    "checks_passed",
    "checks_failed",
    "fields",
)


@dataclass(frozen=True)
class RunRows:
    """All rows of one run, JSON columns parsed."""

    run: dict[str, Any]
    events: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    telemetry: list[dict[str, Any]]

    def list_ended(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(telemetry row, the event that sealed it), in order."""
        sealing = {_invocation_sealed_by(event["data"]): event for event in self.events}
        for row in self.telemetry:
            if row["invocation"] in sealing:
                yield row, sealing[row["invocation"]]


class Source:
    """A ledger opened for reading, with the runs that were chosen; a context manager."""

    def __init__(self, path: Path, run: str | None = None, since: str | None = None) -> None:
        """`run`: the beginning of an id. `since`: a date or an ISO 8601 time; those in which
        something happened since.

        Raises Misuse for a run that is not there and for no date, LedgerUnusable where there is no
        ledger to read.
        """
        self.path = path
        since_us = None
        if since is not None:
            since_us = _parse_moment(since)
        self._db = open_reader(path, BUSY_MS)
        self._db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            self.run_ids = self._choose_runs(run, since_us)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def read_runs(self) -> Iterator[RunRows]:
        """The chosen runs, oldest first."""
        for run_id in self.run_ids:
            with self._open_snapshot():
                (run,) = self._read_dicts("run", run_id)
                events = self._read_dicts("event", run_id)
                evidence = self._read_dicts("evidence", run_id)
                telemetry = self._read_dicts("telemetry", run_id)
            # After the snapshot has ended: the reader may take its time, and writers wait for none.
            yield RunRows(run, events, evidence, telemetry)

    def list_columns(self, table: str) -> list[tuple[str, str]]:
        """(name, type) of a table's columns."""
        return [(row[1], row[2]) for row in self._db.execute(f"PRAGMA table_info({table})")]

    def read_rows(self, table: str) -> Iterator[Sequence[Any]]:
        """A table's rows of the chosen runs as they are stored."""
        for run_id in self.run_ids:
            with self._open_snapshot():
                rows = self._select_rows(table, run_id).fetchall()
            yield from rows

    @contextlib.contextmanager
    def _open_snapshot(self) -> Iterator[None]:
        with explained(self.path, BUSY_MS):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("COMMIT")

    def _select_rows(self, table: str, run_id: str) -> sqlite3.Cursor:
        query = f"SELECT * FROM {table} WHERE run_id = ? ORDER BY {TABLES[table]}"
        return self._db.execute(query, (run_id,))

    def _read_dicts(self, table: str, run_id: str) -> list[dict[str, Any]]:
        cursor = self._select_rows(table, run_id)
        names = [column[0] for column in cursor.description]
        found = []
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            found.append(_parse_json_columns(row))
        return found

    def _choose_runs(self, run: str | None, since_us: int | None) -> list[str]:
        wanted = (run or "").strip().lower()
        # A run counts as of the time of its last event.
        query = """
            SELECT run_id FROM run
            WHERE substr(run_id, 1, length(:wanted)) = :wanted
                AND (
                    :since IS NULL
                    OR :since <= (
                        SELECT ts_us FROM event
                        WHERE event.run_id = run.run_id
                        ORDER BY n DESC
                        LIMIT 1
                    )
                )
            ORDER BY started_us, run_id"""
        with explained(self.path, BUSY_MS):
            rows = self._db.execute(query, {"wanted": wanted, "since": since_us})
            found = [run_id for (run_id,) in rows]
        if run is not None and not (wanted and found):
            raise Misuse(
                f"no run {run!r} in {self.path}", hint="skillrun ledger list names the runs"
            )
        if wanted and len(found) > 1:
            raise Misuse(
                f"{run!r} begins more than one run: {', '.join(found[:5])}",
                hint="give more of the id",
            )
        return found


def _invocation_sealed_by(data: Any) -> int | None:
    """The invocation whose telemetry row an event seals."""
    telemetry = seal_of(data).get("telemetry")
    if not isinstance(telemetry, dict):
        return None
    return telemetry.get("invocation")


def _parse_json_columns(row: dict[str, Any]) -> dict[str, Any]:
    for column in _JSON:
        if isinstance(row.get(column), str):
            row[column] = json.loads(row[column])
    if "data" in row and not isinstance(row["data"], dict):
        # No skillrun wrote it.
        row["data"] = {}
    return row


def _parse_moment(since: str) -> int:
    try:
        if len(since) <= len("2026-01-31"):
            moment = datetime.combine(date.fromisoformat(since), time(), UTC)
        else:
            moment = datetime.fromisoformat(since)
    except ValueError:
        raise Misuse(
            f"--since {since}: not a date", hint="for example 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    # Without a zone it is UTC, as all times of a ledger are.
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
