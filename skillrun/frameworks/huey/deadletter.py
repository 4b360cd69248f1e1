"""Where a Huey job leaves a record when it is given up: Huey itself has no dead letters.

Counted: the branch that is taken once `task.retries` is 0, a receiver of SIGNAL_ERROR, a task given
to `.error(...)` (Huey's on_error), a post_execute hook that looks at the exception, and, in a
clause that ends the job or is named like a record of failures, the call that keeps it. A call that
only logs is no record.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.huey.apps import setting
from skillrun.frameworks.huey.failures import bodies, last_branch, outcome
from skillrun.frameworks.huey.hooks import functions, receivers
from skillrun.frameworks.huey.sends import find_messages
from skillrun.frameworks.huey.tasks import Task
from skillrun.repo.syntax import divide_block, find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse, Place

_LIKE_A_RECORD = re.compile(
    r"dead|quarantin|bury|buried|park|record|fail|reject|letter|dlq|poison", re.IGNORECASE
)


@dataclass(frozen=True)
class Record:
    """`every`: written at each failed attempt, not only at the last. `how` is for a reader."""

    place: Place
    how: str
    every: bool = False


def find_record(project: Project, use: FrameworkUse, task: Task) -> Record | None:
    """The first record that is surely left after the last attempt, one that only the last attempt
    writes preferred.
    """
    return min(_find_records(project, use, task), key=lambda record: record.every, default=None)


def _find_records(project: Project, use: FrameworkUse, task: Task) -> Iterator[Record]:
    yield from _last_attempt(project, task)
    for receiver, _ in receivers(project, use, "error"):
        record = _find_record_call(project, receiver.node.body, receiver.module)
        if record is not None:
            yield Record(
                place_of(receiver.module, record),
                "a receiver of SIGNAL_ERROR",
                not _asks_retries(receiver),
            )
    yield from _on_error(project, use, task)
    for hook in functions(project, use, "post_execute"):
        record = _find_record_call(project, hook.node.body, hook.module)
        if record is not None and _looks_at_exception(hook):
            yield Record(
                place_of(hook.module, record), "a post_execute hook", not _asks_retries(hook)
            )
    yield from _in_clauses(project, task)


def _last_attempt(project: Project, task: Task) -> Iterator[Record]:
    for part in bodies(project, task.handler):
        for node in ast.walk(part.node):
            branch = []
            if isinstance(node, ast.If):
                branch = last_branch(node)
            if branch and isinstance(branch[0], ast.Pass) and isinstance(node, ast.If):
                branch = divide_block(next(part.module.parents(node)), node)[1]
            record = _find_record_call(project, branch, part.module)
            if record is not None:
                yield Record(place_of(part.module, record), "the last attempt")


def _asks_retries(function: Definition) -> bool:
    """It looks at how many retries are left."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "retries"
        for node in ast.walk(function.node)
    )


def _looks_at_exception(hook: Definition) -> bool:
    """The third parameter, the exception, decides."""
    name = None
    if len(hook.parameters) > 2:
        name = hook.parameters[2]
    tests = (node.test for node in find_nodes(hook.node, ast.If))
    return any(isinstance(n, ast.Name) and n.id == name for test in tests for n in ast.walk(test))


def _on_error(project: Project, use: FrameworkUse, task: Task) -> Iterator[Record]:
    """`send.s(7).error(bury)`: a task that gets the exception, of every failed attempt unless the
    Huey object waits.
    """
    waits = setting(project, use, task.owner, "store_intermediate_errors")
    for send in find_messages(project, task):
        if send.call is None:
            continue
        module = send.call.module
        link, linking = [*list(module.parents(send.call.node))[:2], None, None][:2]
        is_link = isinstance(link, ast.Attribute) and link.attr == "error"
        if is_link and isinstance(linking, ast.Call) and linking.args:
            yield Record(
                place_of(module, linking),
                "an on_error task",
                every=waits is None or waits.value is not False,
            )


def _in_clauses(project: Project, task: Task) -> Iterator[Record]:
    """A clause that records: of every attempt, unless it ends the job there and then or there is
    only one.
    """
    for clause in project.handlers(task.handler, depth=1):
        body = []
        for statement in clause.node.body:
            if not isinstance(statement, ast.If):
                body.append(statement)
        record = _find_record_call(project, body, clause.module)
        if record is None or not _LIKE_A_RECORD.search(ast.unparse(record)):
            continue
        final = outcome(project, clause) in ("stops", "ends")
        if task.option("retries") == 0:
            yield Record(place_of(clause.module, record), "the except clause")
        elif not final:
            yield Record(place_of(clause.module, record), "the except clause", every=True)


def _find_record_call(
    project: Project, body: Iterable[ast.stmt], module: Module
) -> ast.Call | None:
    """The first call that may leave a record; what a `raise` builds is none."""
    return first_record(project, [s for s in body if not isinstance(s, ast.Raise)], module)
