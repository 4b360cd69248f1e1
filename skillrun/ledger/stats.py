"""The dozen figures that one looks at first: how runs end, what stops them, and what their
successes rest on.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.query import named_queries

DAY_US = 86_400_000_000
GRADES = ("proved", "executed", "static", "declared")
# A month of days still fits on a line of a terminal.
_MOST_BARS = 31

_TELEMETRY = """
    SELECT
        run.run_id,
        run.started_us,
        telemetry.invocation,
        telemetry.outcome,
        telemetry.grade_min,
        telemetry.ts_utc
    FROM run
    LEFT JOIN telemetry ON telemetry.run_id = run.run_id
    ORDER BY run.run_id, telemetry.invocation"""
# NOT INDEXED: most events are wanted, so one pass over the table costs less than jumping to each
# from an index. Of the stages that passed only those are read whose fingerprint failed as well.
_EVENTS = """
    SELECT type, run_id, invocation, stage, outcome, actor_kind, ts_us, fingerprint
    FROM event NOT INDEXED
    WHERE type = 'invocation.started'
        OR ts_us >= :since AND (
            type <> 'stage.finished'
            OR outcome IN ('failed', 'blocked')
            OR outcome = 'passed' AND fingerprint IN (
                SELECT fingerprint FROM event
                WHERE type = 'stage.finished'
                    AND outcome = 'failed'
                    AND fingerprint IS NOT NULL
                    AND ts_us >= :since
            )
        )"""
_WEAK = """
    SELECT count(*) FROM ({})
    WHERE ts_utc >= strftime('%Y-%m-%dT%H:%M:%S', :since / 1000000, 'unixepoch')"""
_STALE = "SELECT count(*) FROM ({})"


@dataclass(frozen=True)
class Figure:
    """One figure: a number, where it is a part `of` so many, whose it is, what is said with it, and
    its bars.

    `value` is None where nothing could be measured; times are seconds; the newest bar is the last.
    """

    name: str
    value: float | int | None
    of: int | None = None
    what: str = ""
    detail: str = ""
    bars: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stats:
    """The figures of a period that ends now; `all_runs` counts those of the whole ledger."""

    days: int
    days_per_bar: int
    runs: int
    all_runs: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class _Run:
    started_us: int
    invocations: frozenset[int]  # that ended
    first: str | None  # outcome of its first invocation
    latest: str | None
    grade: str | None
    succeeded_us: int | None  # for the first time


@dataclass
class _Events:
    """What one pass over the events finds; times are those of the period."""

    # Runs with an invocation that began in the period.
    active: set[str] = field(default_factory=set)
    started: list[tuple[str, int]] = field(default_factory=list)  # (run, invocation), whenever
    times: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # by type
    by_agents: Counter[str] = field(default_factory=Counter)  # by type
    stops: dict[tuple[str, str], int] = field(default_factory=dict)  # (run, stage) -> when first
    # What a stage read has one fingerprint: with these it once failed and once passed.
    flaky: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Period:
    since: int
    until: int
    bar: int

    def bars(self, times: Iterable[int]) -> tuple[int, ...]:
        """How many of the times fall into each bar; the last one ends now, and has what a fast
        clock wrote.
        """
        many = _divide_rounding_up(self.until - self.since, self.bar)
        counts = [0] * many
        for ts in times:
            if ts < self.since:
                continue
            age = max(self.until - ts, 0) // self.bar
            # What is exactly as old as the period belongs into its oldest bar.
            oldest_first = many - 1 - min(age, many - 1)
            counts[oldest_first] += 1
        return tuple(counts)


def ledger_stats(
    path: Path,
    days: int,
    files: Mapping[str, str] | None = None,
    *,
    now_us: int | None = None,
    busy_ms: int = BUSY_MS,
) -> Stats:
    """The figures of the last days.

    `files` are the parameters `repo` and `tree` of the query stale-successes; without them what is
    stale is not known. Raises LedgerUnusable where there is no ledger to read.
    """
    if now_us is None:
        until = time.time_ns() // 1000
    else:
        until = now_us
    per_bar = _days_per_bar(days)
    period = _Period(until - days * DAY_US, until, per_bar * DAY_US)
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        # All figures are of one moment.
        db.execute("BEGIN")
        every, events = _read_runs(db), _read_events(db, period.since)
        runs = []
        for run_id, run in every.items():
            if run_id in events.active or run.started_us >= period.since:
                runs.append(run)
        weak = _count_rows_of_query(db, _WEAK, "weak-successes", since=period.since)
        figures = (
            *_figures_of_runs(runs, period, weak),
            _figure_of_stops(events, period, len(runs)),
            *_figures_of_events(events, every, period),
            Figure("flaky results", len(events.flaky)),
            _figure_of_stale(db, files),
        )
    return Stats(days, per_bar, len(runs), len(every), figures)


def _days_per_bar(days: int) -> int:
    """A day, a week, four weeks; more where that would be too many bars."""
    for size in (1, 7, 28):
        if days <= size * _MOST_BARS:
            return size
    return _divide_rounding_up(days, _MOST_BARS)


def _divide_rounding_up(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _read_runs(db: sqlite3.Connection) -> dict[str, _Run]:
    found = {}
    for run_id, rows in itertools.groupby(db.execute(_TELEMETRY), key=lambda row: row[0]):
        every = list(rows)
        _, started_us, _, latest, grade, _ = every[-1]
        invocations = frozenset(row[2] for row in every)
        first, succeeded_us = None, None
        # From the last to the first, so that the first success is what is kept.
        for _, _, invocation, outcome, _, ts_utc in reversed(every):
            if invocation == 1:
                first = outcome
            if outcome == "success":
                succeeded_us = _parse_microseconds(ts_utc)
        found[run_id] = _Run(started_us, invocations, first, latest, grade, succeeded_us)
    return found


def _read_events(db: sqlite3.Connection, since: int) -> _Events:
    found = _Events()
    for type, run_id, invocation, stage, outcome, kind, ts_us, fingerprint in db.execute(
        _EVENTS, {"since": since}
    ):
        if type == "stage.finished":
            if outcome == "passed":
                found.flaky.add(fingerprint)
            else:
                found.stops.setdefault((run_id, stage), ts_us)
            continue
        if type == "invocation.started":
            found.started.append((run_id, invocation))
        if ts_us >= since:
            if type == "invocation.started":
                found.active.add(run_id)
            found.times[type].append(ts_us)
            found.by_agents[type] += kind == "agent"
    return found


def _parse_microseconds(ts_utc: str) -> int | None:
    """None for a time that no ledger of ours writes."""
    try:
        return int(datetime.fromisoformat(ts_utc).timestamp() * 1e6)
    except (ValueError, OverflowError):
        return None


def _figures_of_runs(runs: list[_Run], period: _Period, weak: int) -> tuple[Figure, ...]:
    begun = [run for run in runs if run.started_us >= period.since]
    ended = [run for run in runs if run.latest is not None]
    tried = [run for run in begun if run.first is not None]
    grades = Counter(run.grade or "no grade" for run in ended if run.latest == "success")
    bars = period.bars(run.started_us for run in begun)
    at_first_try = sum(run.first == "success" for run in tried)
    weakest = _describe_grades(grades)
    return (
        Figure("runs", len(runs), detail=f"{len(begun)} begun", bars=bars),
        Figure("stand at success", grades.total(), len(ended)),
        Figure("at the first try", at_first_try, len(tried)),
        _figure_of_time_to_success(runs, period),
        Figure("weak successes", weak, grades.total(), detail=weakest),
    )


def _describe_grades(grades: Counter[str]) -> str:
    """How many successes rest on each of them."""
    counted = []
    for grade in (*GRADES, "no grade"):
        if grades[grade]:
            counted.append(f"{grade} {grades[grade]}")
    if not counted:
        return ""
    return f"weakest, stages too: {', '.join(counted)}"


def _figure_of_time_to_success(runs: list[_Run], period: _Period) -> Figure:
    successes, durations = [], []
    for run in runs:
        if run.succeeded_us is None or run.succeeded_us < period.since:
            continue
        successes.append(run.succeeded_us)
        # The two times may come from two clocks: a negative duration counts as none.
        durations.append(max(run.succeeded_us - run.started_us, 0))
    if not durations:
        return Figure("time to success", None, detail="no success for the first time")
    median = round(statistics.median(durations) / 1e6, 3)
    bars = period.bars(successes)
    return Figure("time to success", median, detail=f"median of {len(durations)}", bars=bars)


def _figure_of_stops(events: _Events, period: _Period, runs: int) -> Figure:
    counted = Counter(stage for _, stage in events.stops)
    most = sorted(counted.items(), key=lambda found: (-found[1], str(found[0])))[:3]
    if not most:
        return Figure("blocks most", 0, runs, "nothing")
    (stage, count), *others = most
    detail = ""
    if others:
        detail = "then " + ", ".join(f"{name} {n}" for name, n in others)
    times = []
    for (_, name), ts in events.stops.items():
        if name == stage:
            times.append(ts)
    return Figure("blocks most", count, runs, str(stage), detail, period.bars(times))


def _figures_of_events(
    events: _Events, runs: Mapping[str, _Run], period: _Period
) -> tuple[Figure, ...]:
    still = 0
    for run_id, number in events.started:
        still += run_id in runs and number not in runs[run_id].invocations
    said = ("waiver.given", "attestation.given")
    by_agents = sum(events.by_agents[type] for type in said)
    shown = (
        ("invocations", ("invocation.started",), ""),
        ("waived or attested", said, f"{by_agents} by agents"),
        ("died", ("invocation.interrupted",), f"{still} open now"),
        ("said done too early", ("hook.blocked",), "by agents"),
    )
    figures = []
    for name, types, detail in shown:
        times: list[int] = []
        for type in types:
            times += events.times.get(type, ())
        figures.append(Figure(name, len(times), detail=detail, bars=period.bars(times)))
    return tuple(figures)


def _count_rows_of_query(db: sqlite3.Connection, around: str, name: str, **given: str | int) -> int:
    """How many rows a named query has: it lists what is counted here."""
    query = named_queries()[name]
    values = {param.name: param.default for param in query.params} | given
    # A subquery ends without the semicolon of a statement.
    inner = query.sql.rstrip().removesuffix(";")
    (count,) = db.execute(around.format(inner), values).fetchone()
    return int(count)


def _figure_of_stale(db: sqlite3.Connection, files: Mapping[str, str] | None) -> Figure:
    if not files:
        return Figure(
            "stale successes now", None, detail="inside of its repository the files are compared"
        )
    stale = _count_rows_of_query(db, _STALE, "stale-successes", standing="1", **files)
    return Figure("stale successes now", stale)
