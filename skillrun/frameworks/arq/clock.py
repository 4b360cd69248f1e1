"""A schedule in the words of arq's `cron`: integers and sets of them, second by second, with a week
from Monday.

Source: arq/cron.py (`cron`, `next_cron`): every field that is given has to match; minute is any by
default, second 0.
"""

from __future__ import annotations

from skillrun.frameworks.common.crontab import both_days, every_fields, numbers_in, read_fields

_NAMES = {
    "day_of_week": "weekday",
    "month": "month",
    "day": "day",
    "hour": "hour",
    "minute": "minute",
}


def crontab(trigger: str, schedule: str | None, every_s: float | None) -> list[str] | None:
    """The options of `cron` for a trigger of type cron or poller; None where it has none that mean
    it.
    """
    every = every_s or 60.0
    if trigger != "poller":
        return _write_fields(_read_cron(schedule or ""))
    if every < 60:
        return _write_seconds(every)
    return _write_fields(every_fields(every))


def _write_seconds(every: float) -> list[str] | None:
    """An interval that divides a minute."""
    if not every.is_integer() or 60 % every:
        return None
    return [f"second={_write_numbers(list(range(0, 60, int(every))))}"]


def _write_fields(fields: dict[str, str] | None) -> list[str] | None:
    if fields is None:
        return None
    given = {name: numbers_in(name, text) for name, text in fields.items() if text != "*"}
    if not given:
        return ["second=0"]
    given.setdefault("minute", list(range(60)))
    if "day_of_week" in given:
        # arq's week begins on Monday.
        given["day_of_week"] = sorted((day - 1) % 7 for day in given["day_of_week"])
    return [
        f"{word}={_write_numbers(given[name])}" for name, word in _NAMES.items() if name in given
    ]


def _read_cron(schedule: str) -> dict[str, str] | None:
    """Its fields, where all that are given have to match."""
    fields = read_fields(schedule)
    if fields is not None and both_days(fields):
        return None
    return fields


def _write_numbers(numbers: list[int]) -> str:
    """An integer, a set, or the set of a range where there are many."""
    if len(numbers) == 1:
        return str(numbers[0])
    first, last, step = numbers[0], numbers[-1], numbers[1] - numbers[0]
    if len(numbers) > 3 and numbers == list(range(first, last + 1, step)):
        if first == 0:
            end = last + step
        else:
            end = last + 1
        return f"set(range({first}, {end}{f', {step}' if step > 1 else ''}))"
    return f"{{{', '.join(map(str, numbers))}}}"
