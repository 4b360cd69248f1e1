"""The dozen figures that one looks at first: how runs end, what stops them, and what their successes rest on."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.query import named_queries

DAY_US = 86_400_000_000
GRADES = ("proved", "executed", "static", "declared")
_MOST_BARS = 31

_TELEMETRY = """
    SELECT run.run_id, run.started_us, telemetry.invocation, telemetry.outcome, telemetry.grade_min, telemetry.ts_utc
    FROM run
    LEFT JOIN telemetry ON telemetry.run_id = run.run_id
    ORDER BY run.run_id, telemetry.invocation"""
_EVENTS = """
    SELECT type, run_id, invocation, actor_kind, ts_us FROM event
    WHERE type IN ('invocation.started', 'invocation.interrupted', 'waiver.given', 'attestation.given', 'hook.blocked')
        AND type <> 'stage.finished'"""
_STOPS = """
    SELECT stage, min(ts_us) FROM event
    WHERE type = 'stage.finished' AND outcome IN ('blocked', 'failed') AND ts_us >= :since
    GROUP BY run_id, stage"""
_FLAKY = "SELECT count(*) FROM ({}) WHERE last_seen >= datetime(:since / 1000000, 'unixepoch') || 'Z'"
_WEAK = "SELECT count(*) FROM ({}) WHERE ts_utc >= strftime('%Y-%m-%dT%H:%M:%S', :since / 1000000, 'unixepoch')"
_STALE = "SELECT count(*) FROM ({})"


@dataclass(frozen=True)
class Figure:
    """One figure: a number, where it is a part `of` so many, whose it is, what is said with it, and its bars.

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

    path: Path
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


@dataclass(frozen=True)
class _Event:
    run_id: str
    invocation: int | None
    actor_kind: str | None
    ts_us: int


@dataclass(frozen=True)
class _Period:
    since: int
    until: int
    bar: int

    def bars(self, times: Iterable[int]) -> tuple[int, ...]:
        """How many of the times fall into each bar; the last one ends now, and has what a fast clock wrote."""
        many = -(-(self.until - self.since) // self.bar)
        ages = (max(self.until - ts, 0) // self.bar for ts in times if ts >= self.since)
        counted = Counter(min(age, many - 1) for age in ages)
        return tuple(counted[age] for age in reversed(range(many)))


def ledger_stats(
    path: Path, days: int, files: Mapping[str, str] | None = None, *, now_us: int | None = None, busy_ms: int = BUSY_MS
) -> Stats:
    """The figures of the last days.

    `files` are the parameters `repo` and `tree` of the query stale-successes; without them what is stale is not known.
    Raises LedgerUnusable where there is no ledger to read.
    """
    until = time.time_ns() // 1000 if now_us is None else now_us
    per_bar = _days_per_bar(days)
    period = _Period(until - days * DAY_US, until, per_bar * DAY_US)
    with contextlib.closing(open_reader(path, busy_ms)) as db, explained(path, busy_ms):
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        db.execute("BEGIN")  # all figures are of one moment
        every, events = _runs(db), _events(db)
        active = {event.run_id for event in events["invocation.started"] if event.ts_us >= period.since}
        runs = [run for run_id, run in every.items() if run_id in active or run.started_us >= period.since]
        figures = (
            *_of_runs(runs, period, _count(db, _WEAK, "weak-successes", since=period.since)),
            *_of_stops(db, period, len(runs)),
            *_of_events(events, every, period),
            Figure("flaky results", _count(db, _FLAKY, "flaky-validations", since=period.since)),
            _stale(db, files),
        )
    return Stats(path, days, per_bar, len(runs), len(every), figures)


def _days_per_bar(days: int) -> int:
    """A day, a week, four weeks; more where that would be too many bars."""
    return next((size for size in (1, 7, 28) if days <= size * _MOST_BARS), -(-days // _MOST_BARS))


def _runs(db: sqlite3.Connection) -> dict[str, _Run]:
    found = {}
    for run_id, rows in itertools.groupby(db.execute(_TELEMETRY), key=lambda row: row[0]):
        every = list(rows)
        _, started_us, _, latest, grade, _ = every[-1]
        first = next((row[3] for row in every if row[2] == 1), None)
        success = next((_microseconds(row[5]) for row in every if row[3] == "success"), None)
        found[run_id] = _Run(started_us, frozenset(row[2] for row in every), first, latest, grade, success)
    return found


def _events(db: sqlite3.Connection) -> dict[str, list[_Event]]:
    found: dict[str, list[_Event]] = defaultdict(list)
    for type, *values in db.execute(_EVENTS):
        found[type].append(_Event(*values))
    return found


def _microseconds(ts_utc: str) -> int | None:
    """None for a time that no ledger of ours writes."""
    try:
        return int(datetime.fromisoformat(ts_utc).timestamp() * 1e6)
    except (ValueError, OverflowError):
        return None


def _of_runs(runs: list[_Run], period: _Period, weak: int) -> tuple[Figure, ...]:
    begun = [run for run in runs if run.started_us >= period.since]
    ended = [run for run in runs if run.latest is not None]
    tried = [run for run in begun if run.first is not None]
    grades = Counter(run.grade or "no grade" for run in ended if run.latest == "success")
    words = ", ".join(f"{grade} {grades[grade]}" for grade in (*GRADES, "no grade") if grades[grade])
    return (
        Figure("runs", len(runs), detail=f"{len(begun)} begun", bars=period.bars(run.started_us for run in begun)),
        Figure("stand at success", grades.total(), len(ended)),
        Figure("at the first try", sum(run.first == "success" for run in tried), len(tried)),
        _time_to_success(runs, period),
        Figure("weak successes", weak, grades.total(), detail=f"weakest, stages too: {words}" if words else ""),
    )


def _time_to_success(runs: list[_Run], period: _Period) -> Figure:
    found = [(run.succeeded_us, run.started_us) for run in runs if run.succeeded_us is not None]
    lately = [(success, started) for success, started in found if success >= period.since]
    if not lately:
        return Figure("time to success", None, detail="no success yet")
    median = round(statistics.median(max(success - started, 0) for success, started in lately) / 1e6, 3)
    bars = period.bars(success for success, _ in lately)
    return Figure("time to success", median, detail=f"median of {len(lately)}", bars=bars)


def _of_stops(db: sqlite3.Connection, period: _Period, runs: int) -> tuple[Figure, ...]:
    stops = db.execute(_STOPS, {"since": period.since}).fetchall()
    most = sorted(Counter(stage for stage, _ in stops).items(), key=lambda found: (-found[1], str(found[0])))
    if not most:
        return (Figure("blocks most", 0, runs, "nothing"),)
    (stage, count), *others = most[:3]
    detail = ", ".join(f"{name} {n}" for name, n in others)
    bars = period.bars(ts for name, ts in stops if name == stage)
    return (Figure("blocks most", count, runs, str(stage), f"then {detail}" if detail else "", bars),)


def _of_events(events: Mapping[str, list[_Event]], runs: Mapping[str, _Run], period: _Period) -> tuple[Figure, ...]:
    lately = {type: [event for event in found if event.ts_us >= period.since] for type, found in events.items()}
    said = [*lately.get("waiver.given", []), *lately.get("attestation.given", [])]
    by_agents = sum(event.actor_kind == "agent" for event in said)
    started = events.get("invocation.started", [])
    still = sum(event.run_id in runs and event.invocation not in runs[event.run_id].invocations for event in started)
    return (
        _timed("invocations", lately.get("invocation.started", []), "", period),
        _timed("waived or attested", said, f"{by_agents} by agents", period),
        _timed("died", lately.get("invocation.interrupted", []), f"{still} open now", period),
        _timed("said done too early", lately.get("hook.blocked", []), "by agents", period),
    )


def _timed(name: str, events: list[_Event], detail: str, period: _Period) -> Figure:
    return Figure(name, len(events), detail=detail, bars=period.bars(event.ts_us for event in events))


def _count(db: sqlite3.Connection, around: str, name: str, **given: str | int) -> int:
    """How many rows a named query has: it lists what is counted here."""
    query = named_queries()[name]
    values = {**{param.name: param.default for param in query.params}, **given}
    return int(db.execute(around.format(query.sql.rstrip().removesuffix(";")), values).fetchone()[0])


def _stale(db: sqlite3.Connection, files: Mapping[str, str] | None) -> Figure:
    if not files:
        return Figure("stale successes now", None, detail="inside of its repository the files are compared")
    return Figure("stale successes now", _count(db, _STALE, "stale-successes", standing="1", **files))
