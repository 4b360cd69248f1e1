"""The ledger: runs and their events, appended in single transactions, read back as plain
dictionaries.

Every append is one BEGIN IMMEDIATE transaction: a deferred one fails at once when it meets another
writer, whatever the busy timeout says.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from skillrun.core.canonical import canonical
from skillrun.core.errors import Misuse
from skillrun.ledger import chain, texts
from skillrun.ledger.connection import BUSY_MS, explained, open_reader, open_writer
from skillrun.ledger.ids import uuid7
from skillrun.ledger.rows import (
    INVOCATION_STARTED,
    STAGE_FINISHED,
    EvidenceRow,
    NewEvent,
    RunStart,
    StoredEvent,
    Telemetry,
)

if TYPE_CHECKING:
    from skillrun.ledger.findings import Problem

__all__ = [
    "ConcurrentAppend",
    "EvidenceRow",
    "Ledger",
    "NewEvent",
    "RunStart",
    "StoredEvent",
    "Telemetry",
]

_JSON_COLUMNS = (
    "data",
    "detail",
    "base_tree",
    "files_touched",
    "checks_attempted",
    "checks_passed",
    "checks_failed",
    "fields",
)


class ConcurrentAppend(Exception):
    """The run has events that the caller has not seen: read it again. Internal, never shown to a
    person.
    """


class Ledger:
    """One ledger file; a context manager that closes it."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, busy_ms: int, clock: Callable[[], int]
    ) -> None:
        self.path = path
        self._busy_ms = busy_ms
        self._clock = clock
        self._db = connection

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        busy_ms: int = BUSY_MS,
        clock: Callable[[], int] | None = None,
    ) -> Ledger:
        """Opens a ledger, and creates or migrates it unless `read_only`; waits `busy_ms` for other
        processes.

        `clock` gives the microseconds since 1970 at which rows are recorded; this machine's where
        none is given. Raises LedgerUnusable: locked for good, of a newer version, no ledger, not a
        file, not writable, or missing when `read_only`.
        """
        if read_only:
            connect = open_reader
        else:
            connect = open_writer
        return cls(connect(path, busy_ms), path, busy_ms, clock or _now_us)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; closing twice does no harm."""
        self._db.close()

    # -- writing

    def start_run(self, start: RunStart) -> str:
        """Records a new run and its first event, "run.started"; returns the run id."""
        run_id = uuid7()
        row = _run_row(run_id, start, self._clock())
        event = NewEvent("run.started", actor=start.actor, actor_kind=start.actor_kind)
        with self.writing():
            self._insert_row("run", chain.RUN_COLUMNS, row)
            self.add_event(run_id, 1, chain.GENESIS, event, {"run": chain.run_seal(row)})
        return run_id

    def append(
        self,
        run_id: str,
        events: Sequence[NewEvent],
        *,
        telemetry: Telemetry | None = None,
        evidence: Sequence[EvidenceRow] = (),
        expect_n: int | None = None,
    ) -> list[StoredEvent]:
        """Appends events to a run, all or none, and seals the telemetry row and the evidence into
        the last of them.

        `expect_n` is the number of the last event that the caller saw. Raises ConcurrentAppend
        where the run went on since, Misuse for an unknown run, LedgerUnusable where the file cannot
        be written; what an earlier call returned is kept.
        """
        if not events or (telemetry is not None and telemetry.run_id != run_id):
            raise ValueError("an append needs an event, and telemetry of the same run")
        with self.writing():
            n, prev = self.head(run_id)
            if expect_n is not None and n != expect_n:
                raise ConcurrentAppend(f"run {run_id} is at event {n}, not at {expect_n}")
            telemetry_row = None
            if telemetry is not None:
                telemetry_row = _telemetry_row(telemetry, self._clock())
            # The last event carries the seal, so the evidence is numbered as that event's.
            sealing_n = n + len(events)
            evidence_rows = []
            for i, row in enumerate(evidence, 1):
                evidence_rows.append(_evidence_row(run_id, sealing_n, i, row))
            seal = _build_seal(telemetry_row, evidence_rows)
            stored = self._add_all(run_id, n, prev, events, seal)
            if telemetry_row is not None:
                self._insert_row("telemetry", chain.TELEMETRY_COLUMNS, telemetry_row)
            for evidence_row in evidence_rows:
                self._insert_row("evidence", chain.EVIDENCE_COLUMNS, evidence_row)
        return stored

    def _add_all(
        self, run_id: str, n: int, prev: str, events: Sequence[NewEvent], seal: dict[str, Any]
    ) -> list[StoredEvent]:
        stored: list[StoredEvent] = []
        for event in events:
            is_last = len(stored) == len(events) - 1
            own_seal = {}
            if is_last:
                own_seal = seal
            stored.append(self.add_event(run_id, n + len(stored) + 1, prev, event, own_seal))
            prev = stored[-1].hash
        return stored

    def add_event(
        self, run_id: str, n: int, prev: str, event: NewEvent, seal: dict[str, Any]
    ) -> StoredEvent:
        """Writes event `n` after the one whose hash is `prev`, within `writing`; `append` is what
        others call.
        """
        if chain.SEAL in event.data:
            raise ValueError(f"{chain.SEAL!r} in an event's data belongs to the ledger")
        if texts.has_long(event.data):
            seal = seal | {chain.TEXTS: True}
        data = texts.escape_marks(event.data)
        # An empty seal is left out: events without one are hashed without the key.
        if seal:
            data = data | {chain.SEAL: seal}
        row = _event_row(run_id, n, event, self._clock(), data)
        hash = chain.event_hash(prev, row)
        self._insert_row("event", (*chain.EVENT_COLUMNS, "prev", "hash"), (*row, prev, hash))
        return StoredEvent(run_id, n, event.type, event.stage, row[6], hash, data)

    def _insert_row(self, table: str, columns: Sequence[str], row: Sequence[Any]) -> None:
        places = ", ".join("?" * len(columns))
        self._db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", row)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, inner ones are part of it: all is on disk when the block has ended, or
        nothing.
        """
        if self._db.in_transaction:
            yield self._db
            return
        with explained(self.path, self._busy_ms):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def overwrite_freed(self) -> None:
        """From now on what an update frees in the file is zeroed, and no write-ahead log keeps it
        after the close.
        """
        self._db.execute("PRAGMA secure_delete = ON")

    # -- reading

    def head(self, run_id: str) -> tuple[int, str]:
        """Number and hash of the last event of a run. Raises Misuse for an unknown run."""
        rows = self._select_rows(
            "SELECT n, hash FROM event WHERE run_id = :run_id ORDER BY n DESC LIMIT 1",
            run_id=run_id,
        )
        if not rows:
            raise Misuse(f"no run {run_id} in {self.path}")
        return rows[0]["n"], rows[0]["hash"]

    def run(self, run_id: str) -> dict[str, Any]:
        """The row of `run` with where it stands (see `runs`). Raises Misuse for an unknown run."""
        found = self._select_runs("run_id = :run_id", run_id=run_id)
        if not found:
            raise Misuse(f"no run {run_id} in {self.path}")
        return found[0]

    def runs(
        self,
        *,
        skill: str | None = None,
        job: str | None = None,
        repo: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Runs, newest first: the row of `run`, and `outcome, invocations, open_invocations,
        last_n, last_us`.
        """
        given = {}
        for column, value in (("skill", skill), ("job", job), ("repo", repo)):
            if value is not None:
                given[column] = value
        where = " AND ".join(f"{column} = :{column}" for column in given) or "1"
        return self._select_runs(where, limit=_sql_limit(limit), **given)

    def latest_run(self, skill: str, job: str | None, repo: str) -> dict[str, Any] | None:
        """The newest run of a skill on a job in a repository, as in `runs`, or None."""
        where = "skill = :skill AND job IS :job AND repo = :repo"
        return _first_or_none(self._select_runs(where, limit=1, skill=skill, job=job, repo=repo))

    def _select_runs(self, where: str, *, limit: int = -1, **values: Any) -> list[dict[str, Any]]:
        order = "ORDER BY run.started_us DESC, run.run_id DESC"
        # The limit is inside: the view run_status is costly, and is asked about these runs alone.
        # The outer order is said again, since a join keeps none.
        query = f"""
            SELECT run.*, outcome, invocations, open_invocations, last_n, last_us
            FROM (SELECT * FROM run WHERE {where} {order} LIMIT :limit) AS run
            JOIN run_status ON run_status.run_id = run.run_id
            {order}"""
        return self._select_rows(query, limit=limit, **values)

    def resolve_run(self, prefix: str) -> str:
        """The full id of the only run whose id begins so. Raises Misuse where there is none, or
        more than one.
        """
        wanted = prefix.strip().lower()
        # Five are named where there are several; a sixth changes nothing that is said.
        query = """
            SELECT run_id FROM run
            WHERE substr(run_id, 1, length(:wanted)) = :wanted
            ORDER BY 1
            LIMIT 6"""
        found = [str(row["run_id"]) for row in self._select_rows(query, wanted=wanted)]
        if not wanted or not found:
            raise Misuse(
                f"no run {prefix!r} in {self.path}", hint="skillrun ledger list names the runs"
            )
        if len(found) > 1:
            raise Misuse(
                f"{prefix!r} begins more than one run: {', '.join(found[:5])}",
                hint="give more of the id",
            )
        return found[0]

    def events(
        self, run_id: str, *, type: str | None = None, after: int = 0
    ) -> list[dict[str, Any]]:
        """The events of a run with a number above `after`, in order, with `data` parsed."""
        where = "run_id = :run_id AND n > :after"
        if type is not None:
            where += f" AND {_condition_on_type(type)}"
        return self._select_rows(
            f"SELECT * FROM event WHERE {where} ORDER BY n", run_id=run_id, type=type, after=after
        )

    def all_events(self, type: str) -> Iterator[dict[str, Any]]:
        """The events of a type in all runs: `run_id, n, invocation, data`."""
        query = f"""
            SELECT run_id, n, invocation, data FROM event
            WHERE {_condition_on_type(type)}
            ORDER BY run_id, n"""
        yield from self._select_rows(query, type=type)

    def last_event(self, run_id: str, type: str, stage: str | None = None) -> dict[str, Any] | None:
        """The latest event of a type (of one stage, where given), or None."""
        where = f"run_id = :run_id AND {_condition_on_type(type)}"
        if stage is not None:
            where += " AND stage = :stage"
        query = f"SELECT * FROM event WHERE {where} ORDER BY n DESC LIMIT 1"
        return _first_or_none(self._select_rows(query, run_id=run_id, type=type, stage=stage))

    def latest_stages(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The latest "stage.finished" event of each stage."""
        latest = f"""
            SELECT max(n) FROM event
            WHERE run_id = :run_id AND type = '{STAGE_FINISHED}'
            GROUP BY stage"""
        query = f"SELECT * FROM event WHERE run_id = :run_id AND n IN ({latest}) ORDER BY n"
        return {row["stage"]: row for row in self._select_rows(query, run_id=run_id)}

    def events_containing(self, type: str, text: str) -> list[dict[str, Any]]:
        """The newest events of a type whose data has this text somewhere, of all runs; a few at
        most.
        """
        where = f"{_condition_on_type(type)} AND instr(data, :text)"
        return self._select_rows(
            f"SELECT * FROM event WHERE {where} ORDER BY seq DESC LIMIT 5", type=type, text=text
        )

    def problems(self, run_id: str) -> list[Problem]:
        """What is wrong with the rows of a run: every hash and every seal is computed anew."""
        from skillrun.ledger.verify import run_problems

        with explained(self.path, self._busy_ms):
            return run_problems(self._db, run_id)[0]

    def evidence(self, run_id: str, n: int | None = None) -> list[dict[str, Any]]:
        """The evidence of a run, or of one of its events, in order."""
        where = "run_id = :run_id"
        if n is not None:
            where += " AND n = :n"
        return self._select_rows(
            f"SELECT * FROM evidence WHERE {where} ORDER BY n, i", run_id=run_id, n=n
        )

    def telemetry(
        self, run_id: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Telemetry rows, newest first, with JSON columns parsed."""
        where = "run_id = :run_id"
        if run_id is None:
            where = "1"
        query = f"""
            SELECT * FROM telemetry
            WHERE {where}
            ORDER BY ts_utc DESC, invocation DESC
            LIMIT :limit"""
        return self._select_rows(query, run_id=run_id, limit=_sql_limit(limit))

    def list_receivers(self, run_id: str, n: int) -> list[str]:
        """The databases that event `n` of a run has been sent to."""
        query = """
            SELECT sink FROM sink_cursor
            WHERE last_seq >= (SELECT seq FROM event WHERE run_id = :run_id AND n = :n)"""
        return [row["sink"] for row in self._select_rows(query, run_id=run_id, n=n)]

    def open_invocations(self, run_id: str) -> list[int]:
        """Invocations that began and have no telemetry row: running now, or died."""
        closed = "SELECT invocation FROM telemetry WHERE run_id = :run_id"
        query = f"""
            SELECT DISTINCT invocation FROM event
            WHERE run_id = :run_id
                AND {_condition_on_type(INVOCATION_STARTED)}
                AND invocation NOT IN ({closed})
            ORDER BY 1"""
        rows = self._select_rows(query, run_id=run_id, type=INVOCATION_STARTED)
        return [row["invocation"] for row in rows]

    def _select_rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with explained(self.path, self._busy_ms):
            cursor = self._db.execute(query, values)
            names = [column[0] for column in cursor.description]
            rows = []
            for values_of_row in cursor:
                row = dict(zip(names, values_of_row, strict=True))
                rows.append(_parse_json_columns(row))
            return rows


def _sql_limit(limit: int | None) -> int:
    """A limit in SQLite's words, where a negative one means: all rows."""
    if limit is None:
        return -1
    return limit


def _condition_on_type(type: str) -> str:
    """The condition on a type, in the words of the partial index that serves it.

    SQLite uses a partial index only where the query repeats its WHERE clause. One index has the
    results of stages, the other one all the other events.
    """
    sign = "<>"
    if type == STAGE_FINISHED:
        sign = "="
    return f"type = :type AND type {sign} '{STAGE_FINISHED}'"


def _build_seal(
    telemetry: tuple[Any, ...] | None, evidence: Sequence[tuple[Any, ...]]
) -> dict[str, Any]:
    seal: dict[str, Any] = {}
    if telemetry is not None:
        seal["telemetry"] = chain.telemetry_seal(telemetry)
    if evidence:
        seal["evidence"] = chain.evidence_seal(evidence, by_texts=True)
        if any(_has_long_detail(row) for row in evidence):
            seal[chain.TEXTS] = True
    return seal


def _has_long_detail(evidence_row: tuple[Any, ...]) -> bool:
    detail = evidence_row[-1]
    return detail is not None and texts.has_long(json.loads(detail))


def _run_row(run_id: str, start: RunStart, now_us: int) -> tuple[Any, ...]:
    tree = None
    if start.base_tree is not None:
        tree = _write_json(start.base_tree)
    if start.started_us is None:
        started_us = now_us
    else:
        started_us = start.started_us
    # In the order of chain.RUN_COLUMNS.
    return _make_storable(
        *(
            run_id,
            start.skill,
            start.skill_name,
            start.skill_sha,
            start.job,
            start.spec_path,
            start.repo,
        ),
        *(
            start.git_head,
            int(start.dirty),
            tree,
            start.actor,
            start.actor_kind,
            start.agent,
            start.host_id,
        ),
        *(start.runner_version, started_us),
    )


def _event_row(
    run_id: str, n: int, event: NewEvent, ts_us: int, data: Mapping[str, Any]
) -> tuple[Any, ...]:
    # In the order of chain.EVENT_COLUMNS.
    return _make_storable(
        *(
            run_id,
            n,
            event.type,
            event.invocation,
            event.stage,
            event.attempt,
            ts_us,
            event.dur_us,
            event.outcome,
        ),
        *(
            event.actor,
            event.actor_kind,
            event.fingerprint,
            event.output_sha,
            event.exit_code,
            event.error_type,
        ),
        _write_json(data),
    )


def _evidence_row(run_id: str, n: int, i: int, row: EvidenceRow) -> tuple[Any, ...]:
    detail = None
    if row.detail:
        detail = _write_json(texts.escape_marks(row.detail))
    return _make_storable(run_id, n, i, row.role, row.path, row.sha, row.size, row.line, detail)


def _telemetry_row(row: Telemetry, now_us: int) -> tuple[Any, ...]:
    checks = (row.checks_attempted, row.checks_passed, row.checks_failed)
    lists = [_write_json(list(names)) for names in checks]
    if row.files_touched is None:
        touched = None
    else:
        touched = _write_json(list(row.files_touched))
    # In the order of chain.TELEMETRY_COLUMNS.
    return _make_storable(
        *(
            row.run_id,
            row.invocation,
            row.ts_utc or _format_utc(now_us),
            row.skill,
            row.trigger,
            row.idempotency,
            row.retries,
        ),
        *(
            row.tests_added,
            touched,
            row.outcome,
            row.duration_ms,
            row.actor,
            row.actor_kind,
            row.agent,
            row.repo,
        ),
        *(row.git_head, *lists, row.grade_min, _write_json(row.fields)),
    )


def _make_storable(*values: Any) -> tuple[Any, ...]:
    """The values as SQLite takes them: enums as their words, lone surrogates of odd file names
    escaped.
    """
    storable = []
    for value in values:
        if isinstance(value, str):
            value = str(value).encode("utf-8", "backslashreplace").decode()
        storable.append(value)
    return tuple(storable)


def _write_json(value: Any) -> str:
    return canonical(value).decode()


def _parse_json_columns(row: dict[str, Any]) -> dict[str, Any]:
    for column in _JSON_COLUMNS:
        if isinstance(row.get(column), str):
            row[column] = json.loads(row[column])
    return row


def _first_or_none(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not rows:
        return None
    return rows[0]


def _now_us() -> int:
    return time.time_ns() // 1000


def _format_utc(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
