"""Where an arq job leaves a record when it is given up: arq itself keeps no dead letters.

Counted: what stands beside the Retry that is not raised any more (the clause, or the branch of
`job_try`), and an after_job_end that looks at the job's result. In a handler that retries nothing,
any clause that keeps something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.arq.hooks import job_hooks, reads_result
from skillrun.frameworks.arq.retries import RETRY, JobTry, find_retries, raises_retry
from skillrun.frameworks.common.giving_up import Record, find_record

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project


def find_left(project: Project, handler: Definition) -> Record | None:
    """The record of a job that is given up."""
    hooks = []
    for name, hook in job_hooks(project, handler):
        if name == "after_job_end" and reads_result(hook):
            hooks.append((name, hook))
    return find_record(
        project,
        handler,
        JobTry(project, {}),
        find_retries(project, handler),
        lambda clause: raises_retry(project, clause),
        RETRY,
        hooks,
    )
