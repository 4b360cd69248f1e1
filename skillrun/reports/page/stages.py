"""The stages of a run over its invocations: what each came to, and when it was examined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_Event = Mapping[str, Any]
# Percent: some two pixels.
_NARROWEST = 1.5


@dataclass(frozen=True)
class Bar:
    """When a stage was examined, in percent of its invocation."""

    left: float
    width: float


@dataclass(frozen=True)
class Cell:
    """A stage in one invocation. `status` is None where the invocation did not come to it."""

    status: str | None
    grade: str | None = None
    cached: bool = False
    summary: str = ""
    bars: tuple[Bar, ...] = ()
    took_ms: float | None = None


@dataclass(frozen=True)
class Row:
    """A stage: its title, and a cell for each invocation."""

    id: str
    title: str
    cells: tuple[Cell, ...]


def stage_rows(events: Sequence[_Event], invocations: Sequence[int]) -> list[Row]:
    """A row for each stage, in the order of the latest report that has stages."""
    reports = _reports_by_invocation(events)
    names = _find_titles(events, reports)
    rows = []
    for stage, title in names.items():
        cells = []
        for number in invocations:
            cells.append(_make_cell(events, reports.get(number, {}), number, stage))
        rows.append(Row(stage, title, tuple(cells)))
    return rows


def _reports_by_invocation(events: Sequence[_Event]) -> dict[int, Mapping[str, Any]]:
    """Invocation -> its report. One that found everything as it was points to the event with its
    report.
    """
    reports: dict[int, Mapping[str, Any]] = {}
    by_event: dict[int, Mapping[str, Any]] = {}
    for event in _events_of_type(events, "invocation.ended"):
        report = event["data"].get("report")
        if report is None:
            report = _as_kept(by_event.get(event["data"].get("same_as"), {}))
        by_event[event["n"]] = report
        reports[event["invocation"]] = report
    return reports


def _as_kept(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report of an earlier invocation, as the one that kept it gave it: what was reached came
    from there.
    """
    stages = []
    for stage in report.get("stages", ()):
        was_reached = stage["status"] != "pending"
        stages.append({**stage, "cached": was_reached})
    return {**report, "stages": stages}


def _find_titles(
    events: Sequence[_Event], reports: Mapping[int, Mapping[str, Any]]
) -> dict[str, str]:
    """Stage id -> title."""
    names: dict[str, str] = {}
    # The newest first: a stage has the title and the place that it has now.
    for report in reversed(list(reports.values())):
        for stage in report.get("stages", ()):
            names.setdefault(stage["id"], stage["title"])
    for event in _events_of_type(events, "stage.finished"):
        names.setdefault(event["stage"], event["stage"])
    return names


def _make_cell(
    events: Sequence[_Event], report: Mapping[str, Any], invocation: int, stage: str
) -> Cell:
    examined = _list_examined(events, invocation, stage)
    bars = _make_bars(events, invocation, examined)
    took = None
    if examined:
        took = sum(event["dur_us"] or 0 for event in examined) / 1000
    # The report knows more than the events: whether a stage was kept from an earlier invocation.
    for said in report.get("stages", ()):
        if said["id"] == stage:
            summary = said.get("summary", "")
            return Cell(said["status"], said["grade"], said["cached"], summary, bars, took)
    if not examined:
        return Cell(None)
    last = examined[-1]
    result = last["data"].get("result") or {}
    summary = result.get("summary", "")
    return Cell(last["outcome"], result.get("grade"), False, summary, bars, took)


def _list_examined(events: Sequence[_Event], invocation: int, stage: str) -> list[_Event]:
    """How the stage ended in this invocation; more than once where it was examined again."""
    examined = []
    for event in _events_of_type(events, "stage.finished"):
        if event["invocation"] == invocation and event["stage"] == stage:
            examined.append(event)
    return examined


def _make_bars(
    events: Sequence[_Event], invocation: int, examined: Iterable[_Event]
) -> tuple[Bar, ...]:
    begins, ends = [], []
    for event in events:
        if event["invocation"] == invocation:
            begins.append(event["ts_us"] - (event["dur_us"] or 0))
            ends.append(event["ts_us"])
    if not begins:
        return ()
    begin, end = min(begins), max(ends)
    whole = max(end - begin, 1)
    return tuple(_make_bar(event, begin, whole) for event in examined)


def _make_bar(event: _Event, begin: int, whole: int) -> Bar:
    """At least so wide that it can be seen."""
    took = event["dur_us"] or 0
    width = max(100 * took / whole, _NARROWEST)
    left = 100 * (event["ts_us"] - took - begin) / whole
    return Bar(round(max(0.0, min(left, 100 - width)), 2), round(width, 2))


def _events_of_type(events: Iterable[_Event], type: str) -> list[_Event]:
    found = []
    for event in events:
        if event["type"] == type:
            found.append(event)
    return found
