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

from skillrun.text import spreadsheet_cell, visible

_MARKUP = re.compile(r"[\\`*_\[\]<>|~&#!]")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A header and a line for each row; NULL is empty, and a text that a spreadsheet would compute
    opens with '.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_defused(name) for name in columns])
    writer.writerows([[_defused(value) for value in row] for row in rows])
    return written.getvalue().removesuffix("\n")


def markdown_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with one line for each row; columns that hold numbers alone stand to the right."""
    shown = [list(row) for row in rows]
    rules = [
        "---:" if _is_numeric([row[i] for row in shown]) else "---" for i in range(len(columns))
    ]
    lines = [
        [_escaped(name) for name in columns],
        rules,
        *([_escaped(value) for value in row] for row in shown),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _defused(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return spreadsheet_cell(_text(value))


def _escaped(value: Any) -> str:
    if value is None:
        return ""
    return _MARKUP.sub(lambda match: f"\\{match[0]}", visible(_text(value), limit=None))


def _text(value: Any) -> str:
    return (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known
    )
