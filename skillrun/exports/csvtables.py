"""CSV (RFC 4180, UTF-8): one file for each table, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from skillrun.exports.source import Source
from skillrun.text import visible

SUFFIX = "csv"
_FORMULA = re.compile(
    r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)  # what a spreadsheet may take for one, also full-width
_CHUNK = 1000  # rows


def check() -> None:
    """Nothing is needed."""


def table(source: Source, name: str) -> Iterator[bytes]:
    """The header, then the rows; NULL is an empty cell."""
    yield _text([[column for column, _ in source.columns(name)]])
    chunk: list[list[Any]] = []
    for row in source.rows(name):
        chunk.append([_cell(value) for value in row])
        if len(chunk) == _CHUNK:
            yield _text(chunk)
            chunk = []
    yield _text(chunk)


def _cell(value: Any) -> Any:
    """Text without hidden characters; one that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    shown = visible(value, limit=None, lines=True)
    return f"'{shown}" if _FORMULA.match(value) or _FORMULA.match(shown) else shown


def _text(rows: list[list[Any]]) -> bytes:
    held = io.StringIO()
    csv.writer(held).writerows(rows)
    return held.getvalue().encode()
