"""Values other than a given one, those first in which careless keys are the same.

Nothing is drawn by lot: the same value gives the same others in the same order.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
from collections.abc import Iterator
from functools import partial

# More than a proof asks for, so that a schema may refuse some.
MOST = 50
# Who goes by a remainder, or by the last digits, takes two of these for one.
_MODULI = (10, 100, 1000, 16, 64, 256, 1024, 65536, 60, 128, 360, 10_000, 1_000_000)
# Those of whole digits again, straight from the value.
_FEW_DIGITS = (10, 100, 1000, 16)
# The next ids, as a table gives them; then the first number that neither they nor ten have given.
_NEIGHBOURS = 8
_PAST_NEIGHBOURS = 13
# Small and round ones, which code treats as it treats no other: a first page, a default, a limit.
_ROUND = (1, 2, 10, 100, 1000)
# Ids of a table that has grown: a key that is cut to some digits tells small ones apart.
_LARGE = (10_000_000, 100_000_000, 1_000_000_000, 1 << 31)
_LONG = (20, 32, 64, 100, 255)  # lengths at which texts are cut off
# Digits of ids that differ in the last one alone: a key that is cut keeps the others. More do not
# fit into 64 bits.
_MANY_DIGITS = (16, 18)
_LETTERS = "bcdfghjkmnpqrstvwxyz"
_DAYS = (1, 2, 7, 28, 30, 31, 61, 92, 365, 366, 730, 3652)
_DATE = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)")
_MONTH = re.compile(r"\d{4}-\d\d")
# What follows the date of a time: "T08:00:00Z".
_TIME_OF_DAY = re.compile(r"[T ]\d\d:\d\d")
# With another letter than the T and the Z of "T08:00:00.5Z" it is no time.
_LETTERS_OF_TIME = re.compile(r"(?<=\d)(T)\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z)?")
# A leap year, and days from which a date that does not exist is easily worked out: another month
# has none of that number, or another year has none.
_LEAP_YEAR = 2028
_BORDERS = ((2, 29), (1, 31), (3, 31), (12, 31), (10, 31), (2, 28))
_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
# "INV-2024-A17" has the runs INV, 2024, A and 17.
_RUN = re.compile(r"\d+|[^\W\d_]+")
# Two jobs in which a part differs have one key where the key leaves that part out.
_OF_EACH_PART = 2


def list_other_numbers(value: int) -> Iterator[int]:
    """Near the value, then a remainder's length away from its neighbours, then round ones."""
    yield from range(value + 1, value + 1 + _NEIGHBOURS)
    for step in _LARGE:
        # Beside the value's neighbour: the example's own key may not be counted.
        yield (value + 1 + step)
    for step in _MODULI:
        yield from (value + 1 + step, value + 2 + step)
    for step in _FEW_DIGITS:
        yield value + step
    yield from _ROUND
    yield value * 10
    yield from range(value + _PAST_NEIGHBOURS, value + MOST)


def list_other_texts(value: str) -> Iterator[str]:
    """Dates stay dates, and what ends with a number has another number. Between them stand texts
    that differ in another part: a key may leave out any of them.
    """
    date = _find_date(value)
    number = _find_last_number(value, date)
    ways = []
    if date is not None:
        ways.append(_change_date(value, date))
    if number is not None:
        ways.append(_change_number(value, number))
    if not ways:
        ways.append(_change_letters(value))
    if _MONTH.fullmatch(value):
        yield from _list_months(value)
    yield from _take_in_turn(*ways, _change_parts(value, _list_further_parts(value, date, number)))
    yield from _change_letters(value)


def _find_date(value: str) -> re.Match[str] | None:
    """The first date in a text; None where it is no day of the calendar."""
    found = _DATE.search(value)
    if found is None:
        return None
    try:
        datetime.date.fromisoformat(found[0])
    except ValueError:
        return None
    return found


def _find_last_number(value: str, date: re.Match[str] | None) -> re.Match[str] | None:
    """The last number that stands outside of the date; the time of a day is none that goes up."""
    if date is None:
        return _LAST_NUMBER.search(value)
    if _TIME_OF_DAY.match(value, date.end()):
        return None
    return _LAST_NUMBER.search(value, date.end()) or _LAST_NUMBER.search(value[: date.start()])


def _list_further_parts(value: str, *main: re.Match[str] | None) -> list[re.Match[str]]:
    """The runs of a text that are no part of the main ones."""
    taken: set[int] = set()
    for part in main:
        if part is not None:
            taken.update(range(*part.span()))
    for time in _LETTERS_OF_TIME.finditer(value):
        taken.update((time.start(1), time.start(2)))
    return [run for run in _RUN.finditer(value) if run.start() not in taken]


def _take_in_turn(*ways: Iterator[str]) -> Iterator[str]:
    """One of each as long as it has any: how many are asked for in all is not known here."""
    for values in itertools.zip_longest(*ways):
        for value in values:
            if value is not None:
                yield value


def _change_number(value: str, number: re.Match[str]) -> Iterator[str]:
    before, after = value[: number.start()], value[number.end() :]
    # Of several numbers one may be a year, or all of them an address or a UUID.
    if not re.search(r"\d", before):
        for length, last in itertools.product(_MANY_DIGITS, "23"):
            yield f"{before}{'1' * (length - 1)}{last}{after}"
    for other in list_other_numbers(int(number[0])):
        yield f"{before}{other:0{len(number[0])}d}{after}"


def _change_parts(value: str, parts: list[re.Match[str]]) -> Iterator[str]:
    """The first part at its beginning and each at its end, sections first; then each at its
    beginning, for a key that cuts that off.
    """
    for part in parts[:1]:
        yield from _change_beginning(value, part)
    for part in sorted(parts, key=partial(_is_within_section, value)):
        for other in _change_end(part[0])[:_OF_EACH_PART]:
            yield value[: part.start()] + other + value[part.end() :]
    for part in parts[1:]:
        yield from _change_beginning(value, part)


def _is_within_section(value: str, part: re.Match[str]) -> bool:
    """Of "123e4567-e89b" the runs 4567 and b end a section, the others are within one."""
    return value[part.end() :][:1].isalnum()


def _change_beginning(value: str, part: re.Match[str]) -> Iterator[str]:
    for letter in _replacements(part[0][0])[:_OF_EACH_PART]:
        yield value[: part.start()] + letter + value[part.start() + 1 :]


def _change_end(part: str) -> list[str]:
    """Numbers that are as long, `2025` for `2024`; words with another last letter."""
    if not part.isdecimal():
        return [part[:-1] + letter for letter in _replacements(part[-1])]
    found = []
    for step in (1, 2, -1, -2):
        written = f"{int(part) + step:0{len(part)}d}"
        if written.isdecimal() and len(written) == len(part):
            found.append(written)
    return found


def _change_letters(value: str) -> Iterator[str]:
    """Letters differ, one at a time, then some are added."""
    for at in range(len(value) - 1, -1, -1):
        for letter in _replacements(value[at]):
            yield value[:at] + letter + value[at + 1 :]
    local, mark, domain = value.partition("@")
    for letter in _LETTERS:
        yield f"{local}{letter}{mark}{domain}"
        yield f"{letter}{local}{mark}{domain}"
    for length, letter in itertools.product(_LONG, "ab"):
        yield f"{local}{'x' * length}{letter}{mark}{domain}"


def _replacements(letter: str) -> str:
    """Others of the same kind and the same case; case alone makes no other job."""
    if letter.isdigit():
        others = "123456789"
    elif letter.isupper():
        others = "ABCDEF"
    elif letter.isalpha():
        others = "abcdef"
    else:
        others = ""
    return others.replace(letter, "")[:3]


def _change_date(value: str, date: re.Match[str]) -> Iterator[str]:
    """Other days, at the same time of day."""
    before, after = value[: date.start()], value[date.end() :]
    day = datetime.date.fromisoformat(date[0])
    for month, number in _BORDERS:
        yield f"{before}{_LEAP_YEAR}-{month:02d}-{number:02d}{after}"
    for days in (*_DAYS, *range(3, MOST)):
        # "9999-12-31" is a usual way to say that there is no end: no day comes after it.
        with contextlib.suppress(OverflowError):
            yield f"{before}{day + datetime.timedelta(days)}{after}"


def _list_months(value: str) -> Iterator[str]:
    """The short ones first, each month of the year, then other years."""
    year, month = int(value[:4]), value[4:]
    for number in (2, 4, 12, 1, 3, *range(5, 12)):
        yield f"{year:04d}-{number:02d}"
    yield f"{_LEAP_YEAR}-02"
    for later in range(1, MOST):
        yield f"{year + later:04d}{month}"
