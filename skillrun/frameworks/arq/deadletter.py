"""Where an arq job leaves a record when it is given up: arq itself keeps no dead letters.

Counted: what stands beside the Retry that is not raised any more (the clause, or the branch of `job_try`), and an
after_job_end that looks at the job's result. In a handler that retries nothing, any clause that keeps something.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.hooks import job_hooks, reads_result
from skillrun.frameworks.arq.retries import RETRY, Tries, clauses, decorators, find_retries, raises_retry
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Place
    from skillrun.repo.python import Definition, Handler, Module, Project


@dataclass(frozen=True)
class Record:
    """`how` is for a reader."""

    place: Place
    how: str


def find_record(project: Project, handler: Definition) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error."""
    return next(_records(project, handler), None)


def _records(project: Project, handler: Definition) -> Iterator[Record]:
    every = clauses(project, handler)
    again = [clause for clause in every if raises_retry(project, clause)]
    for clause in again:
        yield from _kept(project, clause.node.body, clause.module, "beside the Retry")
        raised = _raised_instead(project, clause)
        for other in every:
            if other not in again and (other.broad or raised & set(other.exceptions)) and raised:
                yield from _kept(project, other.node.body, other.module, "a clause around the Retry's")
    tries = Tries(project, {})
    for part in _bodies(project, handler):
        for node in ast.walk(part.node):
            if isinstance(node, ast.If) and _asks(tries, node.test, part.module):
                yield from _kept(project, [node], part.module, "by the number of the try")
    for name, hook in job_hooks(project, handler):
        if name == "after_job_end" and reads_result(hook):
            yield from _kept(project, getattr(hook.node, "body", []), hook.module, "after_job_end")
    if not find_retries(project, handler):
        for clause in every:
            yield from _kept(project, clause.node.body, clause.module, "the except clause")


def _raised_instead(project: Project, clause: Handler) -> frozenset[str]:
    """What a clause raises where it raises no Retry, with its bases: somebody around it may record that."""
    found: set[str] = set()
    for node in (n for n in ast.walk(clause.node) if isinstance(n, ast.Raise) and n.exc is not None):
        named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = project.origin(clause.module.resolve(named) or "") if named is not None else ""
        bases = project.ancestors(name) if name else ()
        if bases and not set(RETRY) & {name, *bases}:
            found |= {name, *bases} - {"builtins.object"}
    return frozenset(found)


def _bodies(project: Project, handler: Definition) -> tuple[Definition, ...]:
    via = {name for call in project.calls(handler, depth=1) for name in call.via}
    called = (found for name in sorted(via) if (found := project.definition(name)))
    return (handler, *called, *decorators(project, handler))


def _asks(tries: Tries, test: ast.expr, module: Module) -> bool:
    return any(isinstance(node, ast.expr) and tries.counts(node, module) for node in ast.walk(test))


def _kept(project: Project, body: Iterable[ast.stmt], module: Module, how: str) -> Iterator[Record]:
    record = first_record(project, list(_steps(body)), module)
    if record is not None:
        yield Record(place_of(module, record), how)


def _steps(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of all branches but what is raised: building a Retry leaves nothing."""
    for statement in body:
        inner = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        if isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try):
            for block in inner:
                yield from _steps(block)
        elif not isinstance(statement, ast.Raise):
            yield statement
