"""What a handler does by the number of the attempt: `context.job.attempts`, counted from 0.

Source: procrastinate/jobs.py (`Job.attempts`): how often the job was run, and retried by whoever
found it stalled, before this run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.again import JobAttempts
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.guards import count_let_through, tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Module, Project
    from skillrun.repo.uses import Place

_LIKE_A_COUNT = re.compile(r"tr(?:y|ies)(?![a-z])|attempt", re.IGNORECASE)


@dataclass(frozen=True)
class Bound:
    """The attempt from which on a clause raises no more; None: it always does. `unread`: something
    else decides.
    """

    last: int | None
    place: Place | None = None
    unread: bool = False


class Attempts(JobAttempts):
    """`context.job.attempts` at each retry, from 0."""

    first = 0

    def shift(self, node: ast.expr, module: Module) -> int | None:
        """0 for the count, 1 for `attempts + 1`; None for anything else."""
        if self.counts(node, module):
            return 0
        if isinstance(node, ast.Name):
            function = module.function_of(node)
            if function is not None:
                bound = module.bindings(function).get(node.id, [])
            else:
                bound = []
            value = None
            if len(bound) == 1:
                value = bound[0].value
            if not isinstance(value, ast.BinOp):
                return None
            return self.shift(value, module)
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Add)
            and isinstance(node.right, ast.Constant)
        ):
            added = node.right.value
            if isinstance(added, int) and self.counts(node.left, module):
                return added
            return None
        return None

    def asked(self, node: ast.AST, module: Module) -> bool:
        """Whether an expression has the count in it."""
        return any(isinstance(n, ast.expr) and self.counts(n, module) for n in ast.walk(node))


def raised(project: Project, handler: Definition) -> tuple[Bound, ...]:
    """The bounds of what the clauses of the handler and its decorators raise, one for each
    `raise`.
    """
    found = (
        bound for clause in clauses(project, handler) for bound in _list_bounds(project, clause)
    )
    return tuple(found)


def _list_bounds(project: Project, clause: Handler) -> Iterator[Bound]:
    for node in find_nodes(clause.node, ast.Raise):
        yield _read_bound(Attempts(project, {}), node, clause.module)


def _read_bound(attempts: Attempts, node: ast.AST, module: Module) -> Bound:
    found: list[Bound] = []
    unread = False
    for test, holds in tests_before(module, node):
        limit = count_let_through(test, holds, lambda one: attempts.shift(one, module) is not None)
        number = None
        if limit:
            number = attempts.number(limit[0], module)
        if limit is not None and number is not None and isinstance(test, ast.Compare):
            shift = attempts.shift(test.left, module) or 0
            found.append(Bound(int(number) + limit[1] - shift, place_of(module, test)))
        elif _LIKE_A_COUNT.search(ast.unparse(test)):
            unread = True
    return min(found, key=lambda one: one.last or 0, default=Bound(None, unread=unread))
