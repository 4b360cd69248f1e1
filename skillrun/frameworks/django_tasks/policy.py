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
from skillrun.frameworks.interface import Backoff, Policy
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
    again = counted(find_again(project, handler))
    dead_letter = None
    if again:
        policy = _read_enqueued_policy(project, handler, again)
    else:
        policy = callables.read_policy(project, use, handler)
        dead_letter = policy.dead_letter
    if record:
        dead_letter = record.place
    sources = {**policy.sources, "dead_letter": dead_letter}
    return replace(policy, dead_letter=dead_letter, sources=sources)


def counted(again: tuple[Again, ...]) -> tuple[Again, ...]:
    """The ways back that count as attempts, those that an error leads to: a job that comes back
    because it is too early has not failed. All, where no error leads to any.
    """
    return tuple(way for way in again if way.path.clause is not None) or again


def _read_enqueued_policy(
    project: Project, handler: Definition, again: tuple[Again, ...]
) -> Policy:
    """The policy of a handler that enqueues itself again."""
    unknown: dict[str, Place] = {}
    attempts, source = _count_attempts(again, unknown)
    place = again[0].path.place
    sources = {"max_attempts": source, "backoff": place, "retried": place}
    return Policy(
        max_attempts=attempts,
        backoff=_read_backoff(again, unknown),
        retried=_list_retried(project, again),
        not_retried=_list_spared(project, handler),
        sources=sources,
        unknown=unknown,
    )


def _list_retried(project: Project, again: tuple[Again, ...]) -> tuple[str, ...]:
    """The exceptions after which a clause enqueues again."""
    names: list[str] = []
    for way in again:
        clause = way.path.clause
        if clause is None:
            continue
        if clause.bare:
            return ("builtins:BaseException",)
        names += clause.exceptions
    return import_paths(project, names)


def _count_attempts(
    again: tuple[Again, ...], unknown: dict[str, Place]
) -> tuple[int | None, Place | None]:
    """(the most runs, where that is written); None of one that has no end. Fills `unknown` where
    its bound cannot be read.
    """
    for way in again:
        if way.attempts is None:
            if way.path.bound_unread:
                unknown["max_attempts"] = way.path.place
            return None, way.path.place
    most = max(again, key=lambda way: way.attempts or 0)
    return most.attempts, most.path.bound_place


def _read_backoff(again: tuple[Again, ...], unknown: dict[str, Place]) -> Backoff:
    """The waits, where all ways have the same; else fills `unknown`."""
    backoffs = {way.path.backoff for way in again}
    if len(backoffs) > 1 or None in backoffs:
        unknown["backoff"] = again[0].path.place
        return Backoff("none")
    (backoff,) = backoffs
    return backoff or Backoff("none")


def _list_spared(project: Project, handler: Definition) -> tuple[str, ...]:
    """Exceptions that a clause takes without enqueueing again."""
    names: list[str] = []
    for clause in clauses(project, handler):
        if not enqueues_again(project, handler, clause):
            names += clause.exceptions
    return import_paths(project, names)
