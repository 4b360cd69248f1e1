"""CSV (RFC 4180, UTF-8): one file for each table, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from skillrun.core.text import spreadsheet_cell
from skillrun.ledger.exports.source import Source

SUFFIX = "csv"
# Rows written at once: a million of them are not held in memory.
_CHUNK = 1000


def check_packages() -> None:
    """Nothing is needed."""


def format_table(source: Source, name: str) -> Iterator[bytes]:
    """The header, then the rows; NULL is an empty cell."""
    header = [column for column, _ in source.list_columns(name)]
    yield _write_csv([header])
    chunk: list[list[Any]] = []
    for row in source.read_rows(name):
        chunk.append([safe_cell(value) for value in row])
        if len(chunk) == _CHUNK:
            yield _write_csv(chunk)
            chunk = []
    yield _write_csv(chunk)


def safe_cell(value: Any) -> Any:
    """Text without hidden characters, and no formula; lines stay. Numbers and NULL as they are."""
    if isinstance(value, str):
        return spreadsheet_cell(value, lines=True)
    return value


def _write_csv(rows: list[list[Any]]) -> bytes:
    held = io.StringIO()
    csv.writer(held).writerows(rows)
    return held.getvalue().encode()
