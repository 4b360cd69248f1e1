"""Cron expressions in the words of schedulers that are not quite cron: field by field, names and
ranges as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_RANGES = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "day_of_week": (0, 7),
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?:(?P<any>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")
_PLAIN = re.compile(r"\*(?:/\d+)?|\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")


def read_fields(schedule: str) -> dict[str, str] | None:
    """Field -> "*", "*/5" or numbers ("0", "1-5", "1,3"); None for what other schedulers cannot say
    (L, W, #).
    """
    texts = _NAMED.get(schedule, schedule).lower().split()
    if len(texts) != len(FIELDS):
        return None
    made = {name: _read_field(name, text) for name, text in zip(FIELDS, texts, strict=True)}
    if None not in made.values():
        return {name: text for name, text in made.items() if text is not None}
    return None


def both_days(fields: dict[str, str]) -> bool:
    """Cron fires where either of two given day fields matches; other schedulers where both do."""
    return fields["day"] != "*" and fields["day_of_week"] != "*"


def names_hours(schedule: str | None) -> bool:
    """Whether it depends on the time zone: it names hours or days."""
    fields = read_fields(schedule or "") or {}
    return any(text != "*" for name, text in fields.items() if name != "minute")


def every_fields(seconds: float) -> dict[str, str] | None:
    """The fields of a tick every so often, where whole minutes divide an hour, or whole hours a
    day; else None.
    """
    minutes = int(seconds // 60)
    if minutes * 60 != seconds or not minutes:
        return None
    if minutes < 60:
        if 60 % minutes != 0:
            return None
        return {"minute": f"*/{minutes}" if minutes > 1 else "*"}
    hours = minutes // 60
    if hours * 60 != minutes or hours > 24 or 24 % hours:
        return None
    return {"minute": "0", "hour": {1: "*", 24: "0"}.get(hours, f"*/{hours}")}


def write_croniter(trigger: str, schedule: str | None, every_s: float | None) -> str | None:
    """A schedule as croniter reads it, with a sixth column for seconds; None where an interval has
    none.
    """
    if trigger != "poller":
        return schedule
    every = every_s or 60.0
    if every < 60:
        if every.is_integer() and 60 % every == 0:
            return f"* * * * * */{int(every)}"
        return None
    fields = every_fields(every)
    if fields is None:
        return None
    return f"{fields.get('minute', '*')} {fields.get('hour', '*')} * * *"


def numbers_in(name: str, text: str) -> list[int]:
    """The numbers of a field as `read_fields` gives it, in order: all of them for "*"."""
    return sorted({number for part in text.split(",") for number in _list_numbers(name, part)})


def _read_field(name: str, text: str) -> str | None:
    if text in ("*", "?"):
        return "*"
    if name != "day_of_week" and _PLAIN.fullmatch(text):
        return text
    found: set[int] = set()
    for part in text.split(","):
        numbers = list(_list_numbers(name, part))
        if not numbers:
            return None
        found.update(numbers)
    return _spell_numbers(sorted(found))


def _list_numbers(name: str, part: str) -> Iterator[int]:
    low, high = _RANGES[name]
    match = _PART.fullmatch(part)
    if match is None:
        return
    first = low if match["any"] else _read_number(name, match["low"])
    last = _find_last(name, match)
    if first is None or last is None or not low <= first <= last <= high:
        return
    for number in range(first, last + 1, int(match["step"] or 1)):
        if name == "day_of_week":
            yield number % 7
        else:
            yield number


def _find_last(name: str, match: re.Match[str]) -> int | None:
    """The last number of a range: a single number is its own, and `5/10` goes on to the end."""
    if match["high"]:
        return _read_number(name, match["high"])
    if match["low"] and not match["any"] and not match["step"]:
        return _read_number(name, match["low"])
    if name == "day_of_week":
        # Sunday is 0 as well as 7, and is counted once.
        return 6
    return _RANGES[name][1]


def _read_number(name: str, word: str) -> int | None:
    words = {"month": _MONTHS, "day_of_week": DAYS}.get(name, ())
    if word in words:
        return words.index(word) + _RANGES[name][0]
    if not word.isdecimal():
        return None
    return int(word)


def _spell_numbers(numbers: list[int]) -> str:
    """ "1-5" for several in a row, else "1,3"."""
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
