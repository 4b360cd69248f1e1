"""The dozen figures that one looks at first: how runs end, what stops them, and what their successes rest on."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.query import named_queries

DAY_US = 86_400_000_000
GRADES = ("proved", "executed", "static", "declared")
_MOST_BARS = 31

_RUNS = """
    WITH active AS (
        SELECT run_id FROM event
        WHERE type IN ('run.started', 'invocation.started') AND type <> 'stage.finished' AND ts_us >= :since
        UNION
        SELECT run_id FROM run WHERE started_us >= :since
    )
    SELECT run.run_id, run.started_us, telemetry.invocation, telemetry.outcome, telemetry.grade_min, telemetry.ts_utc
    FROM active
    JOIN run ON run.run_id = active.run_id
    LEFT JOIN telemetry ON telemetry.run_id = run.run_id
    ORDER BY run.run_id, telemetry.invocation"""
_EVENTS = """
    SELECT type, actor_kind, ts_us FROM event
    WHERE type IN ('invocation.started', 'invocation.interrupted', 'waiver.given', 'attestation.given', 'hook.blocked')
        AND type <> 'stage.finished' AND ts_us >= :since"""
_STOPS = """
    SELECT stage, min(ts_us) FROM event
    WHERE type = 'stage.finished' AND outcome IN ('blocked', 'failed') AND ts_us >= :since
    GROUP BY run_id, stage"""
_OPEN = """
    SELECT count(*) FROM event AS started
    WHERE type = 'invocation.started' AND type <> 'stage.finished'
        AND NOT EXISTS (SELECT 1 FROM telemetry
                        WHERE telemetry.run_id = started.run_id AND telemetry.invocation = started.invocation)"""
_FLAKY = "SELECT count(*) FROM ({}) WHERE last_seen >= datetime(:since / 1000000, 'unixepoch') || 'Z'"
_STALE = "SELECT count(*) FROM ({})"


@dataclass(frozen=True)
class Figure:
    """One figure: `value`, where it is a part `of` so many, what is said with it, and its bars, the newest last."""

    name: str
    value: float | int | str | None  # None: there is nothing to measure; times are seconds
    of: int | None = None
    detail: str = ""
    bars: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Stats:
    """The figures of a period that ends now; `all_runs` counts those of the whole ledger."""

    path: Path
    days: int
    days_per_bar: int
    runs: int
    all_runs: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class _Run:
    """A run that was at work in the period."""

    started_us: int
    first: str | None  # outcome of its first invocation
    latest: str | None
    grade: str | None
    took_s: float | None  # from its beginning to its first success
    succeeded_us: int | None


@dataclass(frozen=True)
class _Period:
    since: int
    until: int
    bar: int

    def bars(self, times: Iterable[int]) -> tuple[int, ...]:
        """How many of the times fall into each bar; the last one ends now."""
        many = -(-(self.until - self.since) // self.bar)
        counted = Counter(min((self.until - ts) // self.bar, many - 1) for ts in times if self.since <= ts <= self.until)
        return tuple(counted[age] for age in reversed(range(many)))


def ledger_stats(
    path: Path, days: int, files: Mapping[str, str] | None = None, *, now_us: int | None = None, busy_ms: int = BUSY_MS
) -> Stats:
    """The figures of the last days.

    `files` are the parameters `repo` and `tree` of the query stale-successes; without them a success is stale where any
    run saw other content later. Raises LedgerUnusable where there is no ledger to read.
    """
    until = time.time_ns() // 1000 if now_us is None else now_us
    per_bar = _days_per_bar(days)
    period = _Period(until - days * DAY_US, until, per_bar * DAY_US)
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        runs = _runs(db, period)
        all_runs = int(db.execute("SELECT count(*) FROM run").fetchone()[0])
        figures = (*_of_runs(runs, period), *_of_stops(db, period, len(runs)), *_of_events(db, period))
        figures += _of_queries(db, period, files)
    return Stats(path, days, per_bar, len(runs), all_runs, figures)


def _days_per_bar(days: int) -> int:
    """A day, a week, four weeks; more where that would be too many bars."""
    return next((size for size in (1, 7, 28) if days <= size * _MOST_BARS), -(-days // _MOST_BARS))


def _runs(db: sqlite3.Connection, period: _Period) -> list[_Run]:
    found = []
    for _, rows in itertools.groupby(db.execute(_RUNS, {"since": period.since}), key=lambda row: row[0]):
        every = list(rows)
        _, started_us, _, latest, grade, _ = every[-1]
        first = next((row[3] for row in every if row[2] == 1), None)
        success = next((_microseconds(row[5]) for row in every if row[3] == "success"), None)
        took = None if success is None else max(success - started_us, 0) / 1e6
        found.append(_Run(started_us, first, latest, grade, took, success))
    return found


def _microseconds(ts_utc: str) -> int | None:
    """None for a time that no ledger of ours writes."""
    try:
        return int(datetime.fromisoformat(ts_utc).timestamp() * 1e6)
    except (ValueError, OverflowError):
        return None


def _of_runs(runs: list[_Run], period: _Period) -> tuple[Figure, ...]:
    begun = [run for run in runs if run.started_us >= period.since]
    ended = [run for run in runs if run.latest is not None]
    successes = [run for run in ended if run.latest == "success"]
    tried = [run for run in begun if run.first is not None]
    took = [run for run in runs if run.took_s is not None and run.succeeded_us and run.succeeded_us >= period.since]
    grades = Counter(run.grade or "no grade" for run in successes)
    words = ", ".join(f"{grade} {grades[grade]}" for grade in (*GRADES, "no grade") if grades[grade])
    weak = sum(grades[grade] for grade in ("static", "declared", "no grade"))
    median = statistics.median(run.took_s or 0.0 for run in took) if took else None
    return (
        Figure("runs at work", len(runs), bars=period.bars(run.started_us for run in begun), detail=f"{len(begun)} begun"),
        Figure("stand at success", len(successes), len(ended)),
        Figure("first try", sum(run.first == "success" for run in tried), len(tried)),
        Figure("median time to success", median, detail=f"of {len(took)}", bars=period.bars(
            run.succeeded_us for run in took if run.succeeded_us)),
        Figure("weakest grade static or less", weak, len(successes), words),
    )  # fmt: skip


def _of_stops(db: sqlite3.Connection, period: _Period, runs: int) -> tuple[Figure, ...]:
    stops = db.execute(_STOPS, {"since": period.since}).fetchall()
    most = Counter(stage for stage, _ in stops).most_common(3)
    if not most:
        return (Figure("blocks most", None),)
    (stage, count), *others = sorted(most, key=lambda found: (-found[1], str(found[0])))
    detail = ", ".join(f"{name} {n}" for name, n in others)
    first = [ts for name, ts in stops if name == stage]
    return (Figure("blocks most", count, runs, f"{stage}" + (f"; then {detail}" if detail else ""), period.bars(first)),)


def _of_events(db: sqlite3.Connection, period: _Period) -> tuple[Figure, ...]:
    times: dict[str, list[int]] = {}
    said = ("waiver.given", "attestation.given")
    by_agents = 0
    for type, kind, ts_us in db.execute(_EVENTS, {"since": period.since}):
        times.setdefault(type, []).append(ts_us)
        by_agents += type in said and kind == "agent"
    waived = [ts for type in said for ts in times.get(type, [])]
    died = times.get("invocation.interrupted", [])
    (still_open,) = db.execute(_OPEN).fetchone()
    return (
        Figure("invocations", len(times.get("invocation.started", [])), bars=period.bars(
            times.get("invocation.started", []))),
        Figure("waived or attested", len(waived), detail=f"{by_agents} by agents", bars=period.bars(waived)),
        Figure("died", len(died), detail=f"{still_open} open now", bars=period.bars(died)),
        Figure("done too early", len(times.get("hook.blocked", [])), detail="said by agents", bars=period.bars(
            times.get("hook.blocked", []))),
    )  # fmt: skip


def _of_queries(db: sqlite3.Connection, period: _Period, files: Mapping[str, str] | None) -> tuple[Figure, ...]:
    """Counted by the named queries, so that they list what is counted here."""
    queries = named_queries()
    since = {"since": period.since}
    (flaky,) = db.execute(_FLAKY.format(_inner(queries["flaky-validations"].sql)), {"skill": "", **since}).fetchone()
    given = {"repo": "", "job": "", "tree": "", **(files or {})}
    (stale,) = db.execute(_STALE.format(_inner(queries["stale-successes"].sql)), given).fetchone()
    against = "its files as they are" if files else "what later runs saw"
    return (Figure("flaky results", flaky), Figure("stale successes now", stale, detail=f"by {against}"))


def _inner(sql: str) -> str:
    """A query's text to stand in brackets: a comment may end it."""
    return sql.rstrip().removesuffix(";") + "\n"
