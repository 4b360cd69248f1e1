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

from skillrun.frameworks.common.again import Tries, Way, find_bound
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.giving_up import Record
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.saq.workers import HOOKS
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Module, Project


class Attempts(Tries):
    """`ctx["job"].attempts` counts from 1."""

    def is_retries(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "attempts"


class LastAttempt(Attempts):
    """`ctx["job"].retryable` asks for the same."""

    def counts(self, node: ast.expr, module: Module) -> bool:
        asks = isinstance(node, ast.Attribute) and node.attr == "retryable"
        return asks or super().counts(node, module)


@dataclass(frozen=True, kw_only=True)
class Raised(Way):
    """An error that leaves the handler, so that the job is run again."""

    sets_delay: bool  # its clause assigns to the job's `retry_delay`


def find_raised(project: Project, handler: Definition) -> tuple[Raised, ...]:
    """In the handler, in what it calls, and in its decorators."""
    return project.remember(
        ("saq.raised", handler.dotted), lambda: tuple(_find_raised(project, handler))
    )


def _find_raised(project: Project, handler: Definition) -> Iterator[Raised]:
    attempts = Attempts(project, {})
    for clause in clauses(project, handler):
        delay = _find_assigned(clause.node, "retry_delay")
        backoff = attempts.backoff(delay, clause.module) if delay is not None else None
        for node in _find_raises(clause):
            yield Raised(
                place_of(clause.module, node),
                clause,
                backoff,
                *find_bound(attempts, clause.module, node),
                sets_delay=delay is not None,
            )


def is_again(clause: Handler) -> bool:
    """What it catches is run again."""
    return next(_find_raises(clause), None) is not None


def find_left(project: Project, handler: Definition) -> Record | None:
    """The record of a job that is given up."""
    ways = find_raised(project, handler)
    return HOOKS.find_left(project, handler, LastAttempt(project, {}), ways, is_again)


def _find_raises(clause: Handler) -> Iterator[ast.Raise]:
    """Those that have the job run again: not where its retries were taken away just before."""
    for node in find_nodes(clause.node, ast.Raise):
        if not _is_last(clause, node):
            yield node


def _is_last(clause: Handler, node: ast.Raise) -> bool:
    above = next(clause.module.parents(node), clause.node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, [])
        if node in block:
            before = ast.Module(block[: block.index(node)], [])
            return _find_assigned(before, "retries") is not None
    return False


def _find_assigned(node: ast.AST, name: str) -> ast.expr | None:
    """What is assigned to an attribute of that name."""
    for one in ast.walk(node):
        target = one.targets[0] if isinstance(one, ast.Assign) else None
        if isinstance(target, ast.Attribute) and target.attr == name:
            return getattr(one, "value", None)
    return None
