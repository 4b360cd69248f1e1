"""Where a job of Django Q2 leaves a record of its own when it is given up; the failed Task row is
Django Q2's.

Counted: a hook or a receiver of post_execute that keeps something, a clause of the handler that
ends the job and keeps something, and what stands beside the publish by which the handler runs
itself again.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.django_q2.hooks import asks_attempt, ends, on_failure
from skillrun.frameworks.django_q2.sends import style_of

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Project
    from skillrun.repo.uses import Place


@dataclass(frozen=True)
class Record:
    """`every`: it is written at each failed attempt. `hook`: by what Django Q2 calls, and not by
    the handler.
    """

    place: Place
    every: bool = False
    hook: bool = False


def find_record(project: Project, handler: Definition) -> Record | None:
    """The first record, one that only the last attempt writes preferred."""
    return min(records(project, handler), key=lambda record: record.every, default=None)


def records(project: Project, handler: Definition) -> Iterator[Record]:
    """Those of the hooks, then those of the handler's clauses."""
    for hook in ends(project, handler):
        kept = first_record(project, on_failure(hook), hook.module)
        if kept is not None:
            yield Record(place_of(hook.module, kept), not asks_attempt(project, hook), hook=True)
    for clause in project.handlers(handler, depth=1):
        found = in_clause(project, clause)
        if found is not None:
            yield Record(place_of(clause.module, found))


def in_clause(project: Project, clause: Handler) -> ast.Call | None:
    """The first call of a clause that keeps something; to publish a job again is not that."""
    for statement in _list_statements(clause.node.body):
        found = first_record(project, [statement], clause.module)
        if found is not None and style_of(project, clause.module, found) is None:
            return found
    return None


def _list_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of all branches, one by one; what is raised leaves nothing."""
    for statement in body:
        if isinstance(statement, ast.If | ast.For | ast.While | ast.Try | ast.With):
            for name in ("body", "orelse", "finalbody"):
                yield from _list_statements(getattr(statement, name, []))
        elif not isinstance(statement, ast.Raise):
            yield statement
