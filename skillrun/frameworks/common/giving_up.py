"""Where a handler that says itself when it runs again leaves a record once it is given up."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.again import Tries, Way, bodies
from skillrun.frameworks.common.around import clauses, raised_instead
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Module, Project
    from skillrun.repo.uses import Place


@dataclass(frozen=True)
class Record:
    """`how` is for a reader."""

    place: Place
    how: str


Left = Callable[[ast.stmt], bool]
"""Whether a statement is itself the way to another run, and so no record."""


def _does_nothing(statement: ast.stmt) -> bool:
    return False


def find_record(
    project: Project,
    handler: Definition,
    tries: Tries,
    ways: Collection[Way],
    is_again: Callable[[Handler], bool],
    steering: Collection[str] = (),
    hooks: Iterable[tuple[str, Definition]] = (),
) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error.

    `is_again`: a clause has the job run again; `steering`: names of exceptions that do so
    themselves; `hooks`: (name, function) of what the library calls at the end of a job.
    """

    def find_records() -> Iterator[Record]:
        yield from find_beside_retry(project, handler, is_again, steering)
        yield from by_count(project, handler, lambda part: tries)
        for name, hook in hooks:
            yield from find_kept(project, getattr(hook.node, "body", []), hook.module, name)
        # Where no error leads to another run, each of them has ended the job where it was caught.
        if not ways:
            yield from in_clauses(project, handler)

    return next(find_records(), None)


def find_beside_retry(
    project: Project,
    handler: Definition,
    is_again: Callable[[Handler], bool],
    way: Collection[str] = (),
    left: Left = _does_nothing,
) -> Iterator[Record]:
    """In a clause that leads to another run, and in one around it that takes what it raises
    instead.

    `way`: names of exceptions that are themselves the way to another run.
    """
    every = clauses(project, handler)
    again = [clause for clause in every if is_again(clause)]
    for clause in again:
        yield from find_kept(project, clause.node.body, clause.module, "beside the retry", left)
        raised = raised_instead(project, clause, frozenset(way))
        for other in every:
            if other not in again and (other.broad or raised & set(other.exceptions)) and raised:
                yield from find_kept(
                    project, other.node.body, other.module, "a clause around the retry's"
                )


def by_count(
    project: Project,
    handler: Definition,
    tries: Callable[[Definition], Tries],
    left: Left = _does_nothing,
) -> Iterator[Record]:
    """In a branch that the number of the try decides."""
    for part in bodies(project, handler):
        counted = tries(part)
        for node in find_nodes(part.node, ast.If):
            if _asks_tries(counted, node.test, part.module):
                yield from find_kept(project, [node], part.module, "by the number of the try", left)


def in_clauses(project: Project, handler: Definition) -> Iterator[Record]:
    """In any clause: of a handler that is never run again each of them ends the job."""
    for clause in clauses(project, handler):
        yield from find_kept(project, clause.node.body, clause.module, "the except clause")


def find_kept(
    project: Project, body: Iterable[ast.stmt], module: Module, how: str, left: Left = _does_nothing
) -> Iterator[Record]:
    """The first call of some statements that may leave a record."""
    record = first_record(
        project, [step for step in _list_statements(body) if not left(step)], module
    )
    if record is not None:
        yield Record(place_of(module, record), how)


def _asks_tries(tries: Tries, test: ast.expr, module: Module) -> bool:
    return any(isinstance(node, ast.expr) and tries.counts(node, module) for node in ast.walk(test))


def _list_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of all branches but what is raised: building an exception leaves nothing."""
    for statement in body:
        inner = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        if isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try):
            for block in inner:
                yield from _list_statements(block)
        elif not isinstance(statement, ast.Raise):
            yield statement
