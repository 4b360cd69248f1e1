"""Where a task leaves a record when it is given up, beside its own FAILED row.

Counted: what stands beside the enqueueing that no longer happens (the clause, or the branch of the
attempt), and a receiver of task_finished. In a handler that never enqueues itself, any clause that
keeps something.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.giving_up import (
    Record,
    by_count,
    find_beside_retry,
    find_kept,
    in_clauses,
)
from skillrun.frameworks.django_tasks.hooks import receivers
from skillrun.frameworks.django_tasks.retries import attempts_in, enqueues_again, find_again

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project


def find_record(project: Project, handler: Definition) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error."""
    return next(_find_records(project, handler), None)


def _find_records(project: Project, handler: Definition) -> Iterator[Record]:
    own = {one.path.call.node for one in find_again(project, handler)}

    def enqueues(statement: ast.stmt) -> bool:
        return not own.isdisjoint(ast.walk(statement))

    yield from find_beside_retry(
        project, handler, lambda clause: enqueues_again(project, handler, clause), left=enqueues
    )
    yield from by_count(
        project, handler, lambda part: attempts_in(project, handler, part), enqueues
    )
    for receiver in receivers(project, "task_finished"):
        yield from find_kept(
            project,
            getattr(receiver.node, "body", []),
            receiver.module,
            "a receiver of task_finished",
        )
    if not find_again(project, handler):
        yield from in_clauses(project, handler)
