"""Where an arq job leaves a record when it is given up: arq itself keeps no dead letters.

Counted: what stands beside the Retry that is not raised any more (the clause, or the branch of
`job_try`), and an after_job_end that looks at the job's result. In a handler that retries nothing,
any clause that keeps something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.hooks import job_hooks, reads_result
from skillrun.frameworks.arq.retries import RETRY, JobTry, find_retries, raises_retry
from skillrun.frameworks.common.giving_up import Record, beside, by_count, in_clauses, kept

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project


def find_record(project: Project, handler: Definition) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error."""
    return next(_find_records(project, handler), None)


def _find_records(project: Project, handler: Definition) -> Iterator[Record]:
    yield from beside(project, handler, lambda clause: raises_retry(project, clause), RETRY)
    yield from by_count(project, handler, lambda part: JobTry(project, {}))
    for name, hook in job_hooks(project, handler):
        if name == "after_job_end" and reads_result(hook):
            yield from kept(project, getattr(hook.node, "body", []), hook.module, "after_job_end")
    if not find_retries(project, handler):
        yield from in_clauses(project, handler)
