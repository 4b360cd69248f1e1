"""Where a Celery job leaves a record when it is given up: Celery itself has no dead letters.

Counted: an `on_failure` that records, an errback (`link_error`), `except MaxRetriesExceededError`,
the branch taken once `request.retries` has reached the limit, a `task_failure` receiver,
`Reject(requeue=False)` into a queue that has a dead-letter exchange. A call that only logs is no
record, and neither is a row that is built and never stored; a function of the repository is read
for what it does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.frameworks.celery.hooks import receivers
from skillrun.frameworks.celery.retries import Retries
from skillrun.frameworks.celery.tasks import Task
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Handler, Module, Project
from skillrun.repo.syntax import name_method
from skillrun.repo.uses import Place

_NAMED_LIKE_A_RECORD = re.compile(
    r"dead|quarantin|bury|buried|park|record|fail|reject|letter|dlq|poison", re.IGNORECASE
)


@dataclass(frozen=True)
class DeadLetter:
    """`exhausted`: after the last attempt; `permanent`: for an error that is not retried."""

    exhausted: Place | None = None
    permanent: Place | None = None


def find_dead_letter(project: Project, task: Task, retries: Retries) -> DeadLetter:
    """The first place of each kind, or None."""
    finder = _Finder(project, task)
    return DeadLetter(next(finder.exhausted(), None), next(finder.permanent(retries), None))


class _Finder:
    def __init__(self, project: Project, task: Task) -> None:
        self.project = project
        self.task = task

    def exhausted(self) -> Iterator[Place]:
        yield from self._on_failure()
        yield from self._max_retries_exceeded()
        yield from self._last_attempt_branch()
        yield from self._find_errbacks()
        yield from self._failure_receivers()
        yield from self._find_dead_exchange()

    def permanent(self, retries: Retries) -> Iterator[Place]:
        """A clause of the handler itself that does not retry, and calls something named like a
        record of failures.
        """
        retrying = set()
        for path in retries.paths:
            if path.call and path.call.in_except:
                retrying.add(path.call.in_except.node)
        for handler in self.project.handlers(self.task.handler):
            record = self._find_record(handler.node.body, handler.module)
            if (
                record is not None
                and handler.node not in retrying
                and _NAMED_LIKE_A_RECORD.search(ast.unparse(record))
            ):
                yield place_of(handler.module, record)

    def _list_handlers(self) -> tuple[Handler, ...]:
        return self.project.handlers(self.task.handler, depth=1)

    def _on_failure(self) -> Iterator[Place]:
        for owner in self.task.classes:
            for node in owner.node.body:
                if isinstance(node, ast.FunctionDef) and node.name == "on_failure":
                    record = self._find_record(node.body, owner.module)
                    if record is not None:
                        yield place_of(owner.module, record)

    def _max_retries_exceeded(self) -> Iterator[Place]:
        for handler in self._list_handlers():
            named = any(name.endswith("MaxRetriesExceededError") for name in handler.exceptions)
            record = None
            if named:
                record = self._find_record(handler.node.body, handler.module)
            if record is not None:
                yield place_of(handler.module, record)

    def _last_attempt_branch(self) -> Iterator[Place]:
        for part in self._list_bodies():
            for node in ast.walk(part.node):
                branch = None
                if isinstance(node, ast.If):
                    branch = _given_up(node)
                record = None
                if branch:
                    record = self._find_record(branch, part.module)
                if record is not None:
                    yield place_of(part.module, record)

    def _list_bodies(self) -> Iterator[Definition]:
        yield from self.project.callables(self.task.handler)
        yield from self.project.reached(self.task.handler)

    def _find_errbacks(self) -> Iterator[Place]:
        option = self.task.options.get("link_error")
        if option is not None:
            yield option.place
        for use in self.project.uses(self.task.handler.dotted):
            for above in list(use.module.parents(use.node))[:6]:
                if is_plainly_test(use.path) or not isinstance(above, ast.Call):
                    continue
                linked = any(keyword.arg == "link_error" for keyword in above.keywords)
                if linked or name_method(above) == "on_error":
                    yield place_of(use.module, above)

    def _failure_receivers(self) -> Iterator[Place]:
        for receiver in receivers(self.project, self.task, "task_failure"):
            record = self._find_record(receiver.node.body, receiver.module)
            if record is not None:
                yield place_of(receiver.module, record)

    def _find_dead_exchange(self) -> Iterator[Place]:
        exchange = [
            *self.project.tree.search("dead-letter-exchange"),
            *self.project.tree.search("x-dead-letter-exchange"),
        ]
        if not exchange:
            return
        for call in self.project.calls(self.task.handler, depth=1):
            if call.origin in ("celery.exceptions.Reject", "celery.Reject"):
                requeue = call.argument(1, "requeue")
                if requeue is None or self.project.literal(requeue, call.module) is False:
                    yield place_of(call.module, call.node)

    def _find_record(self, body: Iterable[ast.stmt], module: Module) -> ast.Call | None:
        """The first call that may leave a record behind."""
        return first_record(self.project, body, module)


def _given_up(node: ast.If) -> list[ast.stmt]:
    """The branch of `if self.request.retries >= limit` that is taken at the end; [] for any other
    `if`.
    """
    test = node.test
    if not isinstance(test, ast.Compare) or not _is_retries(test.left):
        return []
    if isinstance(test.ops[0], ast.GtE | ast.Gt | ast.Eq):
        return node.body
    if not isinstance(test.ops[0], ast.Lt | ast.LtE):
        return []
    return node.orelse


def _is_retries(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "retries"
