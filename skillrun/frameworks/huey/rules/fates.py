"""What Huey makes of an error: in a clause of the handler's, and where the error leaves it."""

from __future__ import annotations

import ast

from skillrun.frameworks.common.permanent_errors import Answer, Fate, Rerunning
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.huey.deciding import decided
from skillrun.frameworks.huey.failures import (
    CANCEL,
    RETRY,
    gives_up,
    list_own_nodes,
    may_take_errors,
    outcome,
    read_raise,
)
from skillrun.frameworks.huey.rules.facts import task_of
from skillrun.frameworks.huey.tasks import is_task
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Handler

_ANSWERS: dict[str, Answer] = {"stops": "given up", "retries": "again", "unsure": "unsure"}


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that gives the job up, or asks for a retry, with an exception of Huey's own."""
    nodes = list(list_own_nodes(clause.node))
    own = []
    for node in nodes:
        if isinstance(node, ast.Raise):
            own.append(read_raise(job.project, node, clause.module))
    if not any(own) and not any(map(gives_up, nodes)):
        return None
    answer = _ANSWERS.get(outcome(job.project, clause))
    if answer is None:
        return None
    return Fate(answer, place_of(clause.module, clause.node))


def _read_left(job: Job, error: str) -> Answer:
    """Huey retries every exception that leaves the task, unless a receiver of SIGNAL_ERROR decides
    otherwise.
    """
    task = task_of(job)
    if job.policy.max_attempts == 1:
        return "ends"
    if task.unread or may_take_errors(job.project, task) or error in (*RETRY, *CANCEL):
        return "unsure"
    return _ANSWERS[decided(job.project, job.use, task, error)]


def _is_another_task(job: Job, name: str) -> bool:
    """Another task: calling it only enqueues it."""
    found = job.project.definition(name)
    return found is not None and is_task(job.project, job.use, found)


RERUNNING = Rerunning(
    title="Huey",
    read_clause=_read_clause,
    read_left=_read_left,
    is_job=_is_another_task,
    hint="raise CancelExecution(retry=False) from the error, once it is recorded",
)
