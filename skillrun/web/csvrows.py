"""Datasette's CSV as skillrun exports it: nothing hidden, and no cell that a spreadsheet would take
for a formula.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from skillrun.exports.csvtables import safe_cell
from skillrun.web.guard import Message, Send

csv.field_size_limit(100_000_000)  # Python's own limit is 131,072; an event's data may be longer
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


def with_safe_rows(send: Send) -> Send:
    """Rewrites the rows as they pass; however Datasette cuts them, only whole ones are sent."""
    held = ""
    rows = False

    async def sending(message: Message) -> None:
        nonlocal held, rows
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            rows = any(kind.startswith((b"text/csv", b"text/plain")) for kind in kinds)
        elif rows:
            held += message.get("body", b"").decode("utf-8")
            whole = not message.get("more_body") or _whole(held)
            message = {**message, "body": _safe(held) if whole else b""}
            held = "" if whole else held
        await send(message)

    return sending


def _whole(text: str) -> bool:
    """At the end of a row, not within a quoted cell: there the quotes so far are odd."""
    return text.endswith("\n") and text.count('"') % 2 == 0


def _safe(text: str) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(
        [_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))
    )
    return written.getvalue().encode()


def _cell(cell: str) -> Any:
    return cell if _NUMBER.fullmatch(cell) else safe_cell(cell)
