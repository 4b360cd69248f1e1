"""Who may find a job that stands still: a draft has no `recovers`, and does not run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.skills.job_worker.overview.policy_words import tell_trigger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.memories import Memory
    from skillrun.skills.job_worker.overview.rows import JobReader


def find_sweepers(reader: JobReader, job: FoundJob) -> tuple[str, ...]:
    """The import paths of the jobs that a clock starts, and that write a table which the job writes
    as well.
    """
    mine = _list_tables(reader.read_row(job, {}).memories)
    found = []
    for other in reader.jobs:
        if other.handler == job.handler or tell_trigger(other) != "clock":
            continue
        if mine & _list_tables(reader.read_row(other, {}).memories):
            found.append(other.handler.import_path)
    return tuple(found)


def _list_tables(memories: Iterable[Memory]) -> set[str]:
    """By the last word of each: "orders" of "table orders"."""
    return {memory.what.rpartition(" ")[2].lower() for memory in memories}
