"""A history as delivery lanes: a line for each process, a mark for each step; faults and effects
have their shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

HEIGHT, LABEL, EDGE = 34, 92, 14  # pixels
# Of a column, and of all columns where that can be.
_NARROW, _WIDE, _USUAL = 15, 24, 400
# Room above the lanes, without and with words on the time.
_PLAIN, _TIMED = 4, 22
_SHAPES = {
    "fault": "fault",
    "performed": "effect",
    "raised": "raised",
    "settled": "settled",
    "died": "fault",
}
# What no process did.
_NOBODY = "at the end"
_HOURS, _DAYS = 3600, 86400
# What is less is the time that steps take, and no wait.
_SHORTEST_WAIT_S = 1.5


@dataclass(frozen=True)
class Mark:
    """A step at its place."""

    x: int
    y: int
    shape: str  # fault | effect | raised | settled | step
    number: int
    text: str


@dataclass(frozen=True)
class Lane:
    """A process: its name, and its line from its first step to its last."""

    name: str
    y: int
    begin: int
    end: int


@dataclass(frozen=True)
class Drawn:
    """A history and its drawing. `times`: (x, words) where virtual time goes on. `switches`: lines
    between lanes.
    """

    told: Mapping[str, Any]
    width: int
    height: int
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    times: tuple[tuple[int, str], ...]
    switches: tuple[tuple[int, int, int, int], ...]


def draw_history(history: Mapping[str, Any]) -> Drawn:
    """Places every step: one column each, in the order in which they happened."""
    steps = history["steps"]
    names = list(dict.fromkeys(step["process"] or _NOBODY for step in steps))
    pitch = max(_NARROW, min(_WIDE, _USUAL // max(len(steps), 1)))
    times = tuple(_find_waits(steps, pitch))
    if times:
        top = _TIMED
    else:
        top = _PLAIN
    marks = []
    for column, step in enumerate(steps):
        x = LABEL + column * pitch + pitch // 2
        y = _middle_of_row(top, _row_of_step(step, names))
        marks.append(_place_mark(step, x, y))
    lanes = []
    for row, name in enumerate(names):
        lanes.append(_draw_lane(name, _middle_of_row(top, row), marks))
    switches = []
    for a, b in pairwise(marks):
        if a.y != b.y:
            switches.append((a.x, a.y, b.x, b.y))
    return Drawn(
        history,
        LABEL + len(steps) * pitch + EDGE,
        top + len(names) * HEIGHT,
        tuple(lanes),
        tuple(marks),
        times,
        tuple(switches),
    )


def _place_mark(step: Mapping[str, Any], x: int, y: int) -> Mark:
    return Mark(x, y, _SHAPES.get(step["kind"], "step"), step["number"], step["text"])


def _draw_lane(name: str, y: int, marks: Sequence[Mark]) -> Lane:
    places = []
    for mark in marks:
        if mark.y == y:
            places.append(mark.x)
    return Lane(name, y, min(places), max(places))


def _row_of_step(step: Mapping[str, Any], names: Sequence[str]) -> int:
    return names.index(step["process"] or _NOBODY)


def _middle_of_row(top: int, row: int) -> int:
    return top + row * HEIGHT + HEIGHT // 2


def _find_waits(steps: Sequence[Mapping[str, Any]], pitch: int) -> list[tuple[int, str]]:
    """Where the clock has moved on by a second or more: nothing at the beginning."""
    found = []
    for column, (before, step) in enumerate(pairwise(steps), 1):
        passed = step["at_s"] - before["at_s"]
        if passed >= _SHORTEST_WAIT_S:
            found.append((LABEL + column * pitch, f"+{_format_clock(passed)}"))
    return found


def _format_clock(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < _HOURS:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * _DAYS:
        return f"{seconds / _HOURS:.0f} h"
    return f"{seconds / _DAYS:.0f} d"
