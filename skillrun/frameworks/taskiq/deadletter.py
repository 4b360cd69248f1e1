"""Where a taskiq job leaves a record when it is given up: taskiq itself keeps no dead letters.

Counted: what a middleware of the repository's own keeps in `on_error`, `post_execute` or
`post_save`, and the branch of the handler that asks for the label `_retries`. In a task that is run
once, any clause that keeps something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.taskiq.hooks import methods
from skillrun.frameworks.taskiq.retries import own_bound

if TYPE_CHECKING:
    from skillrun.frameworks.taskiq.tasks import Task
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import Place

AT_THE_END = ("on_error", "post_execute", "post_save")


def find_record(project: Project, task: Task) -> Place | None:
    """What is left after the last attempt."""
    return next((place for _, place in hook_records(project, task)), None) or _last_run(
        project, task
    )


def hook_records(project: Project, task: Task) -> Iterator[tuple[tuple[str, Definition], Place]]:
    """((method, definition), place) of the middlewares' methods that keep something."""
    for name, method in methods(project, task, AT_THE_END):
        record = first_record(project, getattr(method.node, "body", []), method.module)
        if record is not None:
            yield (name, method), place_of(method.module, record)


def _last_run(project: Project, task: Task) -> Place | None:
    bound = own_bound(project, task.handler)
    body = []
    if bound is not None:
        body = [*bound.node.body, *bound.node.orelse]
    record = None
    if bound is not None:
        record = first_record(project, body, bound.module)
    if bound is not None and record is not None:
        return place_of(bound.module, record)
    return None


def clause_record(project: Project, handler: Definition) -> Place | None:
    """What a clause of the handler keeps of an error."""
    for clause in project.handlers(handler, depth=1):
        record = first_record(project, clause.node.body, clause.module)
        if record is not None:
            return place_of(clause.module, record)
    return None
