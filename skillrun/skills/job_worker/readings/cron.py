"""Cron expressions: five fields, each within its range."""

from __future__ import annotations

import re

_NAMED = frozenset(
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# (name, lowest, highest, words for the values from the lowest on)
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:(?P<any>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")
# What some schedulers know besides.
_CALENDAR = re.compile(r"L|L-\d+|LW|\d+W|\w+#[1-5]|\wL", re.IGNORECASE)


def cron_problem(text: str) -> str | None:
    """What is wrong with a cron expression, in a few words; None where nothing is."""
    if text in _NAMED:
        return None
    fields = text.split()
    if len(fields) != 5:
        return f"{len(fields)} fields instead of five"
    for written, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in written.split(","):
            if not _fits(part, low, high, words):
                return f"{part!r} is no {name}"
    return None


def _fits(part: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    if high in (31, 7) and _CALENDAR.fullmatch(part):
        return True
    match = _PART.fullmatch(part)
    if match is None or match["step"] == "0":
        return False
    if match["any"]:
        return True
    values = []
    for word in (match["low"], match["high"]):
        if word is not None:
            values.append(_value(word, low, words))
    return all(value is not None and low <= value <= high for value in values)


def _value(word: str, low: int, words: tuple[str, ...]) -> int | None:
    if word.isdecimal():
        return int(word)
    if word.lower() not in words:
        return None
    return words.index(word.lower()) + low
