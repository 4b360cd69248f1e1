"""CSV (RFC 4180, UTF-8): one file for each table, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from skillrun.exports.source import Source
from skillrun.text import spreadsheet_cell

SUFFIX = "csv"
_CHUNK = 1000  # rows


def check() -> None:
    """Nothing is needed."""


def table(source: Source, name: str) -> Iterator[bytes]:
    """The header, then the rows; NULL is an empty cell."""
    yield _text([[column for column, _ in source.columns(name)]])
    chunk: list[list[Any]] = []
    for row in source.rows(name):
        chunk.append([safe_cell(value) for value in row])
        if len(chunk) == _CHUNK:
            yield _text(chunk)
            chunk = []
    yield _text(chunk)


def safe_cell(value: Any) -> Any:
    """Text without hidden characters, and no formula; lines stay. Numbers and NULL as they are."""
    return spreadsheet_cell(value, lines=True) if isinstance(value, str) else value


def _text(rows: list[list[Any]]) -> bytes:
    held = io.StringIO()
    csv.writer(held).writerows(rows)
    return held.getvalue().encode()
