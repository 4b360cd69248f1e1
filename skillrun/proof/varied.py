"""Payloads that are other jobs than the first example: each has another value in one of the key
fields.

Nothing is drawn by lot: the same spec gives the same payloads in the same order.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.proof.jobs import get_field, with_values

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# The number of the first of them; no other job has one above it.
VARIED = 2_000
MOST = 50
ENOUGH = 10  # of these must reach an effect, or it is said
# Who goes by a remainder, or by the last digits, takes two of these for one.
_MODULI = (10, 100, 1000, 16, 64, 256, 1024, 65536, 60, 128, 360, 10_000, 1_000_000)
# Those of whole digits again, straight from the example.
_FEW_DIGITS = (10, 100, 1000, 16)
# The next ids, as a table gives them; then the first number that neither they nor ten have given.
_NEIGHBOURS = 8
_PAST_NEIGHBOURS = 13
# Small and round ones, which code treats as it treats no other: a first page, a default, a limit.
_ROUND = (1, 2, 10, 100, 1000)
# Halves and quarters are exact in binary, a cent is not.
_FRACTIONS = (0.5, 0.25, 0.01)
# Ids of a table that has grown: a key that is cut to some digits tells small ones apart.
_LARGE = (10_000_000, 100_000_000, 1_000_000_000, 1 << 31)
_LONG = (20, 32, 64, 100, 255)  # lengths at which texts are cut off
# Digits of ids that differ in the last one alone: a key that is cut keeps the others. More do not
# fit into 64 bits.
_MANY_DIGITS = (16, 18)
_LETTERS = "bcdfghjkmnpqrstvwxyz"
_DAYS = (1, 2, 7, 28, 30, 31, 61, 92, 365, 366, 730, 3652)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MONTH = re.compile(r"\d{4}-\d\d")
# A leap year, and days from which a date that does not exist is easily worked out: another month
# has none of that number, or another year has none.
_LEAP_YEAR = 2028
_BORDERS = ((2, 29), (1, 31), (3, 31), (12, 31), (10, 31), (2, 28))


def varied_payloads(spec: JobSpec) -> dict[int, Any]:
    """By job number; empty where no key field says what makes another job."""
    first = spec.examples[0] if spec.examples else None
    if not isinstance(first, dict) or spec.idempotency is None:
        return {}
    fields = [field for field in spec.idempotency.key if get_field(first, field) is not None]
    found: list[Any] = []
    for field in fields:
        found += _of_field(spec, first, field, MOST // len(fields))
    return dict(enumerate(found, start=VARIED))


def _of_field(spec: JobSpec, first: Any, field: str, most: int) -> list[Any]:
    """The first so many that the payload's schema allows."""
    import jsonschema

    check = jsonschema.validators.validator_for(spec.payload or {})(spec.payload or {})
    now = get_field(first, field)
    seen, found = {repr(now)}, list[Any]()
    for value in _other_values(now, _schema_of(spec.payload, field)):
        payload = with_values(first, {field: value})
        if repr(value) in seen or not check.is_valid(payload):
            continue
        seen.add(repr(value))
        found.append(payload)
        if len(found) == most:
            break
    return found


def _schema_of(schema: Any, field: str) -> dict[str, Any]:
    for part in field.split("."):
        schema = (schema or {}).get("properties", {}).get(part, {})
    if isinstance(schema, dict):
        return schema
    return {}


def _other_values(value: Any, schema: dict[str, Any]) -> Iterable[Any]:
    if schema.get("enum"):
        return [other for other in schema["enum"] if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return _numbers(value)
    if isinstance(value, float):
        return [value + step for step in (*range(1, MOST), *_FRACTIONS)]
    if isinstance(value, str):
        return _texts(value)
    return []


def _numbers(value: int) -> Iterator[int]:
    """Near the example, then a remainder's length away from its neighbours, then round ones."""
    yield from range(value + 1, value + 1 + _NEIGHBOURS)
    for step in _LARGE:
        # Beside the example's neighbour: the example's own key may not be counted.
        yield (value + 1 + step)
    for step in _MODULI:
        yield from (value + 1 + step, value + 2 + step)
    for step in _FEW_DIGITS:
        yield value + step
    yield from _ROUND
    yield value * 10
    yield from range(value + _PAST_NEIGHBOURS, value + MOST)


def _texts(value: str) -> Iterator[str]:
    """Dates stay dates, and what ends with a number has another number; else letters differ, one at
    a time.
    """
    if _DATE.match(value):
        yield from _dates(value)
    elif _MONTH.fullmatch(value):
        yield from _months(value)
    number = re.search(r"\d+(?=\D*$)", value)
    if number is not None:
        before, after = value[: number.start()], value[number.end() :]
        # Of several numbers one may be a year, or all of them an address or a UUID.
        if not re.search(r"\d", before):
            for length, last in itertools.product(_MANY_DIGITS, "23"):
                yield f"{before}{'1' * (length - 1)}{last}{after}"
        for other in _numbers(int(number[0])):
            yield f"{before}{other:0{len(number[0])}d}{after}"
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
    """Others of the same kind; case alone makes no other job."""
    others = ""
    if letter.isdigit():
        others = "123456789"
    elif letter.isalpha():
        others = "abcdef"
    return others.replace(letter.lower(), "")[:3]


def _dates(value: str) -> Iterator[str]:
    """Other days at the same time of day."""
    try:
        day = datetime.date.fromisoformat(value[:10])
    except ValueError:
        return
    for month, number in _BORDERS:
        yield f"{_LEAP_YEAR}-{month:02d}-{number:02d}" + value[10:]
    for days in (*_DAYS, *range(3, MOST)):
        yield str(day + datetime.timedelta(days)) + value[10:]


def _months(value: str) -> Iterator[str]:
    """The short ones first, each month of the year, then other years."""
    year, month = int(value[:4]), value[4:]
    for number in (2, 4, 12, 1, 3, *range(5, 12)):
        yield f"{year:04d}-{number:02d}"
    yield f"{_LEAP_YEAR}-02"
    for later in range(1, MOST):
        yield f"{year + later:04d}{month}"


def name_varied_field(spec: JobSpec, payload: Any) -> str | None:
    """The key field in which a payload is another than the first example's."""
    first = spec.examples[0] if spec.examples else None
    for field in spec.idempotency.key if spec.idempotency else ():
        if get_field(payload, field) != get_field(first, field):
            return field
    return None
