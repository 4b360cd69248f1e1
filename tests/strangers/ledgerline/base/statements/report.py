import csv
import io
from collections.abc import Sequence
from decimal import Decimal

from statements.model import Entry, StatementRequest


def render(request: StatementRequest, entries: Sequence[Entry]) -> bytes:
    """The same bytes for the same month, whenever it is called."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["account", request.account_id, "period", request.period])
    rows.writerow(["date", "text", "amount"])
    for entry in entries:
        rows.writerow([entry.booked_on, entry.text, entry.amount])
    rows.writerow(["total", "", sum((entry.amount for entry in entries), Decimal(0))])
    return out.getvalue().encode()
