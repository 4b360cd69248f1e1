"""How a job without a library is written: cron script, poller, scheduled function."""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
def main() -> None:                       # one tick: find what is due, do it, return
    for row in due(limit=100): handle(row)
# the crontab line, systemd timer or loop that starts it stands in the repository
"""
    ),
    "idempotency": (
        """
# the row itself is the dedupe store: claim it and do the work in one transaction
UPDATE jobs SET state='done' WHERE id=? AND state='due'    -- rowcount 0: another tick has it
"""
    ),
    "retry": (
        """
UPDATE jobs SET attempts=attempts+1, due_at=? WHERE id=?   -- now + min(base * factor**attempts, cap)
# count the attempt in a transaction of its own before the effect, or a crash never counts
"""
    ),
    "dead-letter": (
        "when attempts reaches the maximum: state='dead' and a dead-letter row, in one transaction"
    ),
    "observability": (
        "log started, succeeded, failed with reason and will_retry, each with the row's key"
    ),
    "tests": (
        "call the tick on a database with one due row; make the adapter raise and look at the row"
    ),
}
