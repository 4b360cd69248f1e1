"""Where a job leaves a record when it is given up, beside the status `failed` that Procrastinate
keeps.

Counted: a branch on the number of the attempt, in the handler and what is around it; a clause that
ends the job for good; a strategy of the repository's own that records when it decides against a
retry; a middleware that catches.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.around import clauses, decorators, raised_instead
from skillrun.frameworks.common.reading import held_value, place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.procrastinate.attempts import Attempts
from skillrun.frameworks.procrastinate.retries import Strategy, read_strategy
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.frameworks.procrastinate.tasks import Task
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import Place


@dataclass(frozen=True)
class Record:
    """`how` is for a reader."""

    place: Place
    how: str


def find_record(project: Project, task: Task) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error."""
    return next(_find_records(project, task), None)


def _find_records(project: Project, task: Task) -> Iterator[Record]:
    strategy = read_strategy(project, task)
    around = tuple(_list_middlewares(project, task))
    yield from _find_by_count(project, (*_list_bodies(project, task.handler), *around))
    yield from _find_decided(project, strategy)
    yield from _find_in_clauses(project, task, strategy)
    if strategy.tries_again:
        return
    for part in around:
        for clause in project.handlers(part):
            yield from _find_kept_records(project, clause.node.body, clause.module, "a middleware")


def _find_by_count(project: Project, parts: Iterable[Definition]) -> Iterator[Record]:
    """In a branch that the number of the attempt decides."""
    attempts, how = Attempts(project, {}), "by the number of the attempt"
    for part in parts:
        for node in find_nodes(part.node, ast.If):
            if attempts.asked(node.test, part.module):
                yield from _find_kept_records(project, [node], part.module, how)


def _find_decided(project: Project, strategy: Strategy) -> Iterator[Record]:
    """In a strategy of the repository's own."""
    name = "get_retry_decision"
    own = None
    if strategy.custom:
        own = project.definition(f"{strategy.custom}.{name}")
    if own is not None:
        body = getattr(own.node, "body", [])
        yield from _find_kept_records(project, body, own.module, name)


def _find_in_clauses(project: Project, task: Task, strategy: Strategy) -> Iterator[Record]:
    """In a clause that ends the job, and in one that takes what another raises instead."""
    every = clauses(project, task.handler)
    instead: set[str] = set()
    for clause in every:
        instead |= raised_instead(project, clause)
    for clause in every:
        ends = not strategy.tries_again or (clause.reraises and not clause.always_raises)
        if ends or (not clause.reraises and instead & set(clause.exceptions)):
            body, module = clause.node.body, clause.module
            yield from _find_kept_records(project, body, module, "the except clause")


def _list_bodies(project: Project, handler: Definition) -> tuple[Definition, ...]:
    return (handler, *project.reached(handler), *decorators(project, handler))


def _list_middlewares(project: Project, task: Task) -> Iterator[Definition]:
    """The task's own middlewares."""
    option = task.option("task_middleware")
    held = None
    if option:
        held = held_value(project, *option)
    if held is not None and isinstance(held[0], ast.List | ast.Tuple):
        found = (project.definition(held[1].resolve(one) or "") for one in held[0].elts)
        for one in found:
            if one is not None and not one.is_class:
                yield one


def _find_kept_records(
    project: Project, body: Iterable[ast.stmt], module: Module, how: str
) -> Iterator[Record]:
    record = first_record(project, list(_list_statements(body)), module)
    if record is not None:
        yield Record(place_of(module, record), how)


def _list_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of all branches but what is raised or returned: building that leaves
    nothing.
    """
    for statement in body:
        inner = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        if isinstance(
            statement,
            ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.With | ast.AsyncWith,
        ):
            for block in inner:
                yield from _list_statements(block)
        elif not isinstance(statement, ast.Raise) and not _builds_decision(statement):
            yield statement


def _builds_decision(statement: ast.stmt) -> bool:
    """`return RetryDecision(...)`."""
    value = None
    if isinstance(statement, ast.Return):
        value = statement.value
    return isinstance(value, ast.Call) and ast.unparse(value.func).endswith("RetryDecision")
