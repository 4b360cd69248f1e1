"""Benchmark: the ledger at a million events, as ratios within this one run. No figure is asserted.

`--runs 1000` for a quick look; `--keep FILE` uses the ledger in FILE, and makes it where it is not
there.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skillrun.core.canonical import digest
from skillrun.ledger.query import named_queries, run_query
from skillrun.ledger.stats import ledger_stats
from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent, RunStart, Telemetry
from skillrun.ledger.verify import verify_ledger

STAGES = (
    *(
        "identify",
        "contract",
        "idempotency",
        "handler",
        "retry",
        "dead-letter",
        "observability",
        "tests",
        "validate",
    ),
    "close",
)
INVOCATIONS = 4  # of ten stages each: with the first event and a word, fifty events a run
DAYS = 365
BEGAN_US = 1_800_000_000_000_000
SKILL = "backend/job-worker-orchestration"

# The best that we can write by hand for the same questions, knowing how the ledger was made.
HAND = {
    "timeline": (
        """
        SELECT run_id, n, datetime(ts_us / 1000000, 'unixepoch') || 'Z', type, invocation, stage, outcome,
            round(dur_us / 1000.0, 1), actor, actor_kind, error_type, hash
        FROM event WHERE run_id = :run ORDER BY n"""
    ),
    "interrupted-invocations": (
        """
        WITH died AS (
            SELECT run_id, invocation, 'interrupted' AS state FROM event
            WHERE type = 'invocation.interrupted' AND type <> 'stage.finished'
            UNION ALL
            SELECT run_id, invocation, 'open' FROM event AS e
            WHERE type = 'invocation.started' AND type <> 'stage.finished' AND NOT EXISTS (
                SELECT 1 FROM telemetry AS t WHERE t.run_id = e.run_id AND t.invocation = e.invocation))
        SELECT died.run_id, run.job, died.invocation, died.state, coalesce(s.actor, run.actor),
            datetime(s.ts_us / 1000000, 'unixepoch') || 'Z'
        FROM died JOIN run USING (run_id)
        JOIN event AS s ON s.run_id = died.run_id AND s.type = 'invocation.started' AND s.type <> 'stage.finished'
            AND s.invocation = died.invocation
        ORDER BY s.seq DESC"""
    ),
    "grades": (
        """
        SELECT skill, count(*), count(*) FILTER (WHERE grade_min = 'proved'),
            count(*) FILTER (WHERE grade_min = 'executed'), count(*) FILTER (WHERE grade_min = 'static'),
            count(*) FILTER (WHERE grade_min = 'declared'), count(*) FILTER (WHERE grade_min IS NULL)
        FROM (SELECT skill, outcome, grade_min, max(invocation) FROM telemetry GROUP BY run_id)
        WHERE outcome = 'success' GROUP BY skill ORDER BY 2 DESC, 1"""
    ),
    "stale-successes": (
        """
        WITH newest AS MATERIALIZED (
            SELECT repo, path, sha, max(ts_us) FROM evidence JOIN event USING (run_id, n) JOIN run USING (run_id)
            WHERE role = 'file' GROUP BY repo, path),
        last AS (SELECT run_id, outcome, skill, ts_utc, max(invocation) FROM telemetry GROUP BY run_id),
        stage AS (
            SELECT event.run_id, event.stage, max(event.n) AS n FROM last CROSS JOIN event USING (run_id)
            WHERE last.outcome = 'success' AND event.type = 'stage.finished' GROUP BY event.run_id, event.stage),
        file AS (
            SELECT run_id, n, path, sha FROM stage JOIN evidence USING (run_id, n) WHERE role = 'file'
            UNION ALL
            SELECT run_id, n, f.key, f.value FROM stage JOIN event USING (run_id, n)
            JOIN json_each(data, '$.lookups') AS l JOIN json_each(l.value, '$.files') AS f
            WHERE l.value ->> 'kind' = 'file'),
        seen AS (SELECT run_id, path, sha, max(n) FROM file GROUP BY run_id, path)
        SELECT run.run_id, last.skill, run.job, run.repo, last.ts_utc, count(*), 0, 0, min(seen.path)
        FROM seen JOIN run USING (run_id) JOIN last USING (run_id)
        JOIN newest ON newest.repo = run.repo AND newest.path = seen.path AND newest.sha <> seen.sha
        GROUP BY run.run_id ORDER BY last.ts_utc DESC, run.run_id DESC"""
    ),
}
SCAN = "SELECT count(*), max(ts_us), sum(length(data)), max(hash) FROM event NOT INDEXED"


class Bulk(Ledger):
    """The real ledger; many appends make one transaction, because a million of them would take the
    disk's time.
    """

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for all that is appended in the block."""
        with Ledger.writing(self):
            yield


class Clock:
    """Microseconds that only go on where it is told so."""

    now = BEGAN_US

    def __call__(self) -> int:
        return self.now


def main() -> int:
    """Builds the ledger, measures in interleaved rounds, prints the table."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="skillrun-ledger-bench-"))
    try:
        path = options.keep or folder / "ledger.db"
        if not path.exists():
            build(path, options.runs)
        print(f"{'what':<44} {'ratio':>7} {'aim':>7}  against", flush=True)
        for what, ratio, aim, against in (
            row for part in (_queries(path), _whole(path), _appends(folder)) for row in part
        ):
            print(f"{what:<44} {ratio:>7.2f} {aim:>7}  {against}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="fifty events each")
    parser.add_argument("--keep", type=Path, help="the ledger that is used, and stays")
    return parser.parse_args()


# -- the ledger


def build(path: Path, runs: int) -> None:
    """So many runs of fifty events, over a year, in forty repositories of a hundred jobs."""
    draw, clock, began = random.Random(6), Clock(), time.perf_counter()
    with Bulk.open(path, clock=clock) as ledger:
        assert isinstance(ledger, Bulk)
        for first in range(0, runs, 500):
            with ledger.together():
                for number in range(first, min(first + 500, runs)):
                    clock.now = BEGAN_US + number * DAYS * 86_400_000_000 // runs
                    _run(ledger, clock, draw, number)
    size = path.stat().st_size / 1e6
    print(
        f"{runs} runs of 50 events, {size:.0f} MB, made in {time.perf_counter() - began:.0f} s",
        flush=True,
    )


def _run(ledger: Ledger, clock: Clock, draw: random.Random, number: int) -> None:
    job, repo = f"job-{number % 100}", f"/repos/{number % 40}"
    agent = draw.choice((None, "claude", "codex"))
    start = RunStart(
        SKILL,
        "job-worker-orchestration",
        f"{number // 4000:064x}",
        job,
        f".skillrun/jobs/{job}.yaml",
        repo,
        "a" * 40,
        False,
        "ada",
        "agent" if agent else "human",
        agent,
        f"host-{number % 9}",
        "0.1",
        {},
    )
    run_id = ledger.start_run(start)
    stops_at = draw.randrange(len(STAGES)) if draw.random() < 0.6 else None
    for invocation in range(1, INVOCATIONS + 1):
        died = draw.random() < 0.01
        ledger.append(run_id, [NewEvent("invocation.started", invocation=invocation, actor="ada")])
        for place, stage in enumerate(STAGES):
            clock.now += draw.randrange(10_000, 5_000_000)
            outcome = (
                "passed"
                if place != stops_at or invocation > 2
                else ("blocked" if number % 2 else "failed")
            )
            _stage(ledger, run_id, invocation, stage, outcome, number, draw)
        if died and invocation == INVOCATIONS:
            break
        ended = "partial" if stops_at is not None and invocation <= 2 else "success"
        row = Telemetry(
            run_id,
            invocation,
            SKILL,
            "partial" if died else ended,
            "ada",
            "human",
            repo,
            agent=agent,
            checks_attempted=("a", "b"),
            checks_passed=("a", "b"),
            duration_ms=900,
            files_touched=("shop/tasks.py",),
            grade_min=draw.choice(("proved", "executed", "static", "declared")),
        )
        event = NewEvent(
            "invocation.interrupted" if died else "invocation.ended",
            outcome=row.outcome,
            invocation=invocation,
            data={} if died else {"key": "k" * 64, "settled": True},
        )
        ledger.append(run_id, [event], telemetry=row)
    if number % 20 == 0:
        ledger.append(
            run_id,
            [NewEvent("waiver.given", data={"item": "tests", "reason": "none yet", "by": "ada"})],
        )
    else:
        ledger.append(run_id, [NewEvent("recommendation.made", data={"skill": "x", "reason": "y"})])


def _stage(
    ledger: Ledger,
    run_id: str,
    invocation: int,
    stage: str,
    outcome: str,
    number: int,
    draw: random.Random,
) -> None:
    files = {f"shop/{stage}{i}.py": digest([number // 3000, stage, i]) for i in range(2)}
    data = {
        "result": {
            "status": outcome,
            "grade": "static",
            "facts": {"framework": "celery"},
            "summary": "w" * 60,
        },
        "basis": {"skill": "5" * 64, "version": "0.1"},
        "lookups": [
            {"kind": "file", "name": path, "digest": sha, "files": {path: sha}}
            for path, sha in files.items()
        ],
    }
    same = draw.random() < 0.001 and outcome == "passed"
    mark = digest([number if not same else number - 1, stage, 0 if same else invocation])
    event = NewEvent(
        "stage.finished",
        stage,
        invocation,
        draw.randrange(9_000_000),
        outcome,
        "ada",
        "human",
        mark,
        data=data,
        invocation=invocation,
    )
    rows = (
        [EvidenceRow("file", path, sha, 900, 3) for path, sha in files.items()]
        if invocation % 2 == 0
        else []
    )
    ledger.append(run_id, [event], evidence=rows)


# -- what is measured


def _queries(path: Path) -> Iterator[tuple[str, float, str, str]]:
    """The named query and the best by hand, each on the same connection; and what skillrun adds to
    a short one.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        (run,) = db.execute("SELECT run_id FROM run ORDER BY run_id LIMIT 1 OFFSET 7").fetchone()
        for name, by_hand in HAND.items():
            query = named_queries()[name]
            params = {**{param.name: param.default for param in query.params}, "run": run}
            work = {"ours": _asking(db, query.sql, params), "hand": _asking(db, by_hand, params)}
            rows = work["ours"]()
            if rows != work["hand"]():
                print(f"{name}: the two do not say the same", flush=True)
            took = _interleaved(work, many=500 if name == "timeline" else 1)
            yield (
                f"query {name}, {len(rows)} rows",
                took["ours"] / took["hand"],
                "<= 1.3",
                "the best SQL by hand",
            )
    params = {"run": run}
    took = _interleaved(
        {
            "ours": lambda: run_query(path, "timeline", params),
            "hand": lambda: _by_hand(path, HAND["timeline"], params),
        },
        many=200,
    )
    yield (
        "query timeline, with opening and care",
        took["ours"] / took["hand"],
        "-",
        "opening and asking by hand",
    )


def _asking(
    db: sqlite3.Connection, sql: str, params: dict[str, str]
) -> Callable[[], list[tuple[Any, ...]]]:
    return lambda: db.execute(sql, params).fetchall()


def _by_hand(path: Path, sql: str, params: dict[str, str]) -> list[tuple[Any, ...]]:
    """As a person with Python's sqlite3 asks."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql, params).fetchall()


def _whole(path: Path) -> Iterator[tuple[str, float, str, str]]:
    now = BEGAN_US + DAYS * 86_400_000_000
    took = _interleaved(
        {
            "scan": lambda: _by_hand(path, SCAN, {}),
            "stats": lambda: ledger_stats(path, DAYS + 1, now_us=now),
            "month": lambda: ledger_stats(path, 30, now_us=now),
        }
    )
    yield (
        f"stats --days {DAYS + 1}, of everything",
        took["stats"] / took["scan"],
        "<= 3",
        "one full scan of event",
    )
    yield "stats --days 30", took["month"] / took["scan"], "<= 3", "the same"
    took = _interleaved(
        {"verify": lambda: verify_ledger(path), "sha256": lambda: _sha256(path)}, rounds=1
    )
    yield (
        "verify",
        took["verify"] / took["sha256"],
        "-",
        f"sha256 of the file ({path.stat().st_size / 1e6:.0f} MB)",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _appends(folder: Path) -> Iterator[tuple[str, float, str, str]]:
    """One event a commit, with chain, indexes and triggers; against one row a commit into a bare
    table.
    """
    data = {
        "result": {"status": "passed", "summary": "w" * 60},
        "lookups": [{"name": "x" * 60, "digest": "d" * 64}],
    }
    event = NewEvent(
        "stage.finished", "retry", 1, 9, "passed", "ada", "human", "f" * 64, data=data, invocation=1
    )
    with (
        Ledger.open(folder / "append.db") as ledger,
        contextlib.closing(_bare(folder / "raw.db")) as raw,
    ):
        run_id = ledger.start_run(
            RunStart(
                SKILL,
                "x",
                "5" * 64,
                "job",
                None,
                "/repo",
                None,
                False,
                "ada",
                "human",
                None,
                "host",
                "0.1",
            )
        )
        row = (
            run_id,
            1,
            "stage.finished",
            1,
            "retry",
            1,
            BEGAN_US,
            9,
            "passed",
            "ada",
            "human",
            "f" * 64,
            str(data),
        )
        places = ", ".join("?" * len(row))

        def commit() -> None:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute(f"INSERT INTO event VALUES ({places})", row)
            raw.execute("COMMIT")

        took = _interleaved(
            {"ours": lambda: ledger.append(run_id, [event]), "raw": commit}, rounds=40, many=50
        )
    yield (
        "append, rows a second",
        took["raw"] / took["ours"],
        ">= 0.5",
        "a raw commit of one row, same journal mode",
    )


def _bare(path: Path) -> sqlite3.Connection:
    """The same journal mode and care for the disk as the ledger, and a table without index, trigger
    or check.
    """
    with contextlib.closing(sqlite3.connect(path.with_name("append.db"))) as ledger:
        (mode,) = ledger.execute("PRAGMA journal_mode").fetchone()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA journal_mode = {'truncate' if mode == 'delete' else mode}")
    db.execute("PRAGMA synchronous = FULL")
    columns = (
        "run_id, n, type, invocation, stage, attempt, ts_us, dur_us, outcome, actor, actor_kind,"
        " fingerprint, data"
    )
    db.execute(f"CREATE TABLE event ({columns})")
    return db


def _interleaved(
    work: Mapping[str, Callable[[], object]], rounds: int = 3, many: int = 1
) -> dict[str, float]:
    """The least seconds of each over rounds in which each is done `many` times: what others do here
    only adds.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            begin = time.perf_counter()
            for _ in range(many):
                do()
            times[name].append(time.perf_counter() - begin)
    return {name: min(values) for name, values in times.items()}


if __name__ == "__main__":
    sys.exit(main())
