"""Datasette's CSV as skillrun exports it: nothing hidden, and no cell that a spreadsheet would take
for a formula.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from skillrun.cli.web.guard import Message, Send
from skillrun.ledger.exports.csvtables import safe_cell

# Python's own limit is 131,072; an event's data may be longer.
csv.field_size_limit(100_000_000)
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


def with_safe_rows(send: Send) -> Send:
    """Rewrites the rows as they pass; however Datasette cuts them, only whole ones are sent."""
    held = ""
    rows = False

    async def send_rewritten(message: Message) -> None:
        nonlocal held, rows
        if message["type"] == "http.response.start":
            rows = _is_csv(message)
        elif rows:
            held += message.get("body", b"").decode("utf-8")
            body = b""
            if not message.get("more_body") or _ends_with_row(held):
                body, held = _write_safe_rows(held), ""
            message = {**message, "body": body}
        await send(message)

    return send_rewritten


def _is_csv(start: Message) -> bool:
    """Whether the headers of an answer say so.

    Datasette calls CSV that a browser is to show, and not to save, `text/plain`.
    """
    for name, value in start["headers"]:
        if name.lower() == b"content-type" and value.startswith((b"text/csv", b"text/plain")):
            return True
    return False


def _ends_with_row(text: str) -> bool:
    """At the end of a row, not within a quoted cell: there the quotes so far are odd."""
    return text.endswith("\n") and text.count('"') % 2 == 0


def _write_safe_rows(text: str) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written)
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow([_make_cell_safe(cell) for cell in row])
    return written.getvalue().encode()


def _make_cell_safe(cell: str) -> Any:
    # A negative number begins like a formula, and is none.
    if _NUMBER.fullmatch(cell):
        return cell
    return safe_cell(cell)
