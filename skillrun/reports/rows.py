"""Rows as CSV and Markdown, where nothing in a value runs as a formula, makes a column, or
hides.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from skillrun.core.text import spreadsheet_cell, visible

_MARKUP = re.compile(r"[\\`*_\[\]<>|~&#!]")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A header and a line for each row; NULL is empty, and a text that a spreadsheet would compute
    opens with '.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_defuse_cell(name) for name in columns])
    for row in rows:
        writer.writerow([_defuse_cell(value) for value in row])
    return written.getvalue().removesuffix("\n")


def markdown_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with one line for each row; columns that hold numbers alone stand to the right."""
    shown = [list(row) for row in rows]
    rules = []
    for i in range(len(columns)):
        is_numeric = _is_numeric([row[i] for row in shown])
        rules.append("---:" if is_numeric else "---")
    lines = [_markdown_line(map(_escape_markup, columns)), _markdown_line(rules)]
    for row in shown:
        lines.append(_markdown_line(map(_escape_markup, row)))
    return "\n".join(lines)


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _defuse_cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return spreadsheet_cell(_write_text(value))


def _escape_markup(value: Any) -> str:
    if value is None:
        return ""
    return _MARKUP.sub(lambda match: f"\\{match[0]}", visible(_write_text(value), limit=None))


def _write_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    for value in known:
        # To Python a bool is a number, too.
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
    return bool(known)
