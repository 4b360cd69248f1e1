"""The effective policy of a task: what its handler does by itself, for the library runs it once.

Two ways count: the handler enqueues itself again, or it tries again within one run (a loop,
tenacity, backoff). Nothing is acknowledged: a row whose worker dies stays RUNNING. Arguments are
JSON.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.callables import policy as callables
from skillrun.frameworks.common.reading import import_paths
from skillrun.frameworks.django_tasks.deadletter import find_record
from skillrun.frameworks.django_tasks.retries import Again, enqueues_again, find_again
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("django-tasks.policy", handler.dotted), lambda: _read_policy(project, use, handler)
    )


def _read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    record = find_record(project, handler)
    place = None
    if record:
        place = record.place
    again = counted(find_again(project, handler))
    if again:
        found = _read_enqueued_policy(project, handler, again)
    else:
        found = callables.read_policy(project, use, handler)
    kept = place or (found.dead_letter if not again else None)
    return replace(found, dead_letter=kept, sources={**found.sources, "dead_letter": kept})


def counted(again: tuple[Again, ...]) -> tuple[Again, ...]:
    """Those that an error leads to: a job that comes back because it is too early has not
    failed.
    """
    return tuple(one for one in again if one.path.clause is not None) or again


def _read_enqueued_policy(
    project: Project, handler: Definition, again: tuple[Again, ...]
) -> Policy:
    unknown: dict[str, Place] = {}
    attempts, source = _count_attempts(again, unknown)
    clause_names = (name for one in again if one.path.clause for name in one.path.clause.exceptions)
    bare = any(one.path.clause is not None and one.path.clause.bare for one in again)
    sources = {
        "max_attempts": source,
        "backoff": again[0].path.place,
        "retried": again[0].path.place,
    }
    return Policy(
        max_attempts=attempts,
        backoff=_read_backoff(again, unknown),
        retried=("builtins:BaseException",) if bare else import_paths(project, clause_names),
        not_retried=_list_spared(project, handler),
        sources=sources,
        unknown=unknown,
    )


def _count_attempts(
    again: tuple[Again, ...], unknown: dict[str, Place]
) -> tuple[int | None, Place | None]:
    """(the most runs, where that is written)."""
    for one in again:
        if one.attempts is None and one.path.bound_unread:
            unknown["max_attempts"] = one.path.place
            return None, one.path.place
        if one.attempts is None:
            return None, one.path.place
    most = max(again, key=lambda one: one.attempts or 0)
    return most.attempts, most.path.bound_place


def _read_backoff(again: tuple[Again, ...], unknown: dict[str, Place]) -> Backoff:
    read = {one.path.backoff for one in again}
    if len(read) > 1 or None in read:
        unknown["backoff"] = again[0].path.place
        return Backoff("none")
    (only,) = read
    return only or Backoff("none")


def _list_spared(project: Project, handler: Definition) -> tuple[str, ...]:
    """Exceptions that a clause takes without enqueueing again."""
    found = clauses(project, handler)
    return import_paths(
        project, (n for c in found if not enqueues_again(project, handler, c) for n in c.exceptions)
    )
