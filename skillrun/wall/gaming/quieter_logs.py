"""What an operator no longer reads: a record that is gone or has a lower level, a logger that is
muted.

A proof hears what the job says in a process of its own. What a worker's child mutes when it starts
is heard there all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.log_records import find_lost_records
from skillrun.wall.gaming.log_settings import find_muted

ID = "quieter-logs"
HELP = (
    "A job that fails and is not heard of is lost. Found: a log record of a job's failure that is "
    "gone, has a lower level, or no longer names the job or the error; a logger, a handler or a "
    "worker that newly lets through warnings or errors alone, a disabled logger, a filter that "
    "drops records (errors); other fields, an information that is gone (warnings)."
)


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of the records first, then those of what mutes."""
    yield from find_lost_records(ID, diff)
    yield from find_muted(ID, diff)
