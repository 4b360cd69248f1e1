"""What a handler does with the number of its attempt: which errors it lets out to another one, up
to which, and after which wait.

Source: saq/worker.py (`process`), saq/job.py (`retryable`, `next_retry_delay`): the job that the
context holds is the one that is asked, so a handler may change its `retry_delay` and `retries`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.again import Tries, find_bound
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.reading import place_of

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Backoff
    from skillrun.repo.python import Definition, Handler, Module, Project
    from skillrun.repo.uses import Place


class Attempts(Tries):
    """`ctx["job"].attempts` counts from 1."""

    def is_retries(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "attempts"


class LastAttempt(Attempts):
    """`ctx["job"].retryable` asks for the same."""

    def counts(self, node: ast.expr, module: Module) -> bool:
        asks = isinstance(node, ast.Attribute) and node.attr == "retryable"
        return asks or super().counts(node, module)


@dataclass(frozen=True)
class Way:
    """A clause through which an error leaves the handler, so that the job is run again."""

    clause: Handler
    place: Place
    bound: int | None  # the last attempt that it lets through to one after it
    bound_place: Place | None
    bound_unread: bool
    sets_delay: ast.expr | None  # what it assigns to the job's `retry_delay`
    backoff: Backoff | None  # the same, where it can be read


def find_ways(project: Project, handler: Definition) -> tuple[Way, ...]:
    """In the handler, in what it calls, and in its decorators."""
    return project.remember(
        ("saq.ways", handler.dotted), lambda: tuple(_find_ways(project, handler))
    )


def _find_ways(project: Project, handler: Definition) -> Iterator[Way]:
    attempts = Attempts(project, {})
    for clause in clauses(project, handler):
        for node in find_raises(clause):
            bound, place, unread = find_bound(attempts, clause.module, node)
            delay = find_assigned(clause.node, "retry_delay")
            backoff = attempts.backoff(delay, clause.module) if delay is not None else None
            where = place_of(clause.module, node)
            yield Way(clause, where, bound, place, unread, delay, backoff)


def find_raises(clause: Handler) -> Iterator[ast.Raise]:
    """Those that have the job run again: not where its retries were taken away just before."""
    for node in ast.walk(clause.node):
        if isinstance(node, ast.Raise) and not _is_last(clause, node):
            yield node


def _is_last(clause: Handler, node: ast.Raise) -> bool:
    above = next(clause.module.parents(node), clause.node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, [])
        if node in block:
            before = ast.Module(block[: block.index(node)], [])
            return find_assigned(before, "retries") is not None
    return False


def find_assigned(node: ast.AST, name: str) -> ast.expr | None:
    """What is assigned to an attribute of that name."""
    for one in ast.walk(node):
        target = one.targets[0] if isinstance(one, ast.Assign) else None
        if isinstance(target, ast.Attribute) and target.attr == name:
            return getattr(one, "value", None)
    return None
