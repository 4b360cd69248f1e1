"""The ways by which a task is retried: `autoretry_for`, and explicit `self.retry(...)` calls.

Source: celery/app/autoretry.py (the wrapper around `run`: what the body lets out is retried, unless
it is Ignore, Retry, or in `dont_autoretry_for`) and celery/app/task.py (`retry`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.frameworks.celery.config import place_of
from skillrun.frameworks.celery.tasks import Option, Task
from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.guards import count_let_through, leaves, tests_before
from skillrun.frameworks.interface import (
    Backoff,
)
from skillrun.repo.python import Call, Handler, Module, Project, is_known
from skillrun.repo.syntax import find_nodes, has_spread, is_given
from skillrun.repo.uses import Place

NEVER_RETRIED = ("celery.exceptions.Ignore", "celery.exceptions.Reject", "celery.exceptions.Retry")
_RETRY_TASKS = ("celery.current_task.retry", "celery.task.current.retry")


@dataclass(frozen=True)
class Path:
    """One way to a retry."""

    kind: str  # autoretry | explicit
    exceptions: tuple[str, ...]  # dotted; empty: whatever led here is no exception (a condition)
    place: Place
    max_retries: Any  # int, None: unbounded, or an Unknown
    max_place: Place | None
    backoff: Backoff | None  # None: it cannot be read
    backoff_place: Place | None
    conditional: bool = False  # an `if` inside the clause decides
    call: Call | None = None
    spared: tuple[str, ...] = ()  # exceptions that never take this way
    exempted: tuple[str, ...] = ()  # those of them that `dont_autoretry_for` names


@dataclass(frozen=True)
class Retries:
    """All the ways of one task. `unread` are places that could hold more."""

    paths: tuple[Path, ...]
    unread: tuple[Place, ...] = ()

    @property
    def spared(self) -> tuple[str, ...]:
        """Exceptions that no way retries although a base class of theirs may be named."""
        every = [set(path.spared) for path in self.paths]
        if not every:
            return ()
        return tuple(sorted(set.intersection(*every)))

    def of(self, project: Project, exception: str) -> tuple[Path, ...]:
        """The ways on which an exception is retried."""
        found = []
        for path in self.paths:
            if takes(project, path, exception):
                found.append(path)
        return tuple(found)


def takes(project: Project, path: Path, exception: str) -> bool:
    """An exception is retried on this way: it is, or derives from, one that is named, and is not
    spared.
    """
    bases = ancestors(project, exception)
    return bases.isdisjoint(path.spared) and not bases.isdisjoint(map(short, path.exceptions))


def wraps(project: Project, path: Path, exception: str) -> bool:
    """Whether the wrapper of `autoretry_for` retries an exception that has left the task's body."""
    bases = ancestors(project, exception)
    if path.kind != "autoretry" or exception in NEVER_RETRIED:
        return False
    return bases.isdisjoint(path.exempted) and not bases.isdisjoint(map(short, path.exceptions))


def find_retries(project: Project, task: Task) -> Retries:
    """Every way by which the task is retried, `autoretry_for` first."""
    key = ("celery.retries", task.handler.path, task.handler.name)
    return project.remember(key, lambda: _find_retries(project, task))


def _find_retries(project: Project, task: Task) -> Retries:
    reader = _Reader(project, task)
    paths = [*reader.automatic(), *reader.explicit()]
    return Retries(tuple(paths), tuple(task.unread))


class _Reader:
    def __init__(self, project: Project, task: Task) -> None:
        self.project = project
        self.task = task
        self.calls = project.calls(task.handler, depth=2)
        known = {}
        for name in ("max_retries", "default_retry_delay", "retry_backoff_max"):
            known[name] = task.option(name)
        self.countdown = Countdown(project, known)

    # autoretry_for

    def automatic(self) -> Iterator[Path]:
        option = self.task.options.get("autoretry_for")
        exceptions = self._name_exceptions(option)
        if option is None or not exceptions:
            return
        arguments = self._retry_kwargs()
        max_retries, max_place = self.task.option("max_retries"), self.task.place("max_retries")
        if arguments.get("max_retries") is not None:
            max_retries, max_place = arguments["max_retries"], self.task.place("retry_kwargs")
        backoff, backoff_place = self._automatic_backoff(arguments)
        exempted = self._name_exceptions(self.task.options.get("dont_autoretry_for"))
        yield Path(
            kind="autoretry",
            exceptions=exceptions,
            place=option.place,
            max_retries=max_retries,
            max_place=max_place,
            backoff=backoff,
            backoff_place=backoff_place,
            spared=(*exempted, *self._list_swallowed()),
            exempted=exempted,
        )

    def _name_exceptions(self, option: Option | None) -> tuple[str, ...]:
        if option is None or option.node is None or option.module is None:
            return ()
        return tuple(map(short, self.project.exception_names(option.node, option.module)))

    def _retry_kwargs(self) -> dict[str, Any]:
        value = self.task.option("retry_kwargs")
        if not isinstance(value, dict):
            return {}
        return value

    def _automatic_backoff(self, arguments: dict[str, Any]) -> tuple[Backoff | None, Place | None]:
        """celery/app/autoretry.py: the factor is int(max(1.0, float(retry_backoff))), the wait
        factor * 2**n.
        """
        factor, cap = self.task.option("retry_backoff"), self.task.option("retry_backoff_max")
        jitter = self.task.option("retry_jitter")
        if not is_known(factor) or (factor and not (is_known(cap) and is_known(jitter))):
            return None, self.task.place("retry_backoff")
        if factor:
            base = float(int(max(1.0, float(factor))))
            return Backoff("exponential", base, 2.0, float(cap), bool(jitter)), self.task.place(
                "retry_backoff"
            )
        place = "default_retry_delay"
        if "countdown" in arguments:
            place = "retry_kwargs"
        delay = arguments.get("countdown", self.task.option("default_retry_delay"))
        backoff = None
        if isinstance(delay, int | float):
            backoff = Backoff("fixed", float(delay))
        return backoff, self.task.place(place)

    def _list_swallowed(self) -> tuple[str, ...]:
        """Exceptions that a clause around the whole body keeps from the wrapper."""
        node = next(iter(self.project.callables(self.task.handler)), None)
        if node is not None:
            body = getattr(node.node, "body", [])
        else:
            body = []
        body = [statement for statement in body if not _is_docstring(statement)]
        if len(body) != 1 or not isinstance(body[0], ast.Try):
            return ()
        found: list[str] = []
        for clause in body[0].handlers:
            handler = self.project.handler(self.task.handler.module, clause)
            if not handler.reraises or self._raises_ignored(handler):
                found += map(short, handler.exceptions)
        return tuple(found)

    def _raises_ignored(self, handler: Handler) -> bool:
        is_raised = False
        for node in find_nodes(handler.node, ast.Raise):
            is_raised = True
            if not self._is_ignored(node.exc, handler.module):
                return False
        return is_raised

    def _is_ignored(self, node: ast.expr | None, module: Module) -> bool:
        target = node.func if isinstance(node, ast.Call) else node
        name = None
        if target is not None:
            name = module.resolve(target)
        return bool(name) and self.project.origin(name or "") in NEVER_RETRIED

    # self.retry(...)

    def explicit(self) -> Iterator[Path]:
        for call in self.calls:
            if self._is_retry(call):
                yield self._read_explicit(call)

    def _is_retry(self, call: Call) -> bool:
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr != "retry":
            return False
        if call.origin in _RETRY_TASKS or call.origin == f"{self.task.handler.dotted}.retry":
            return True
        if not isinstance(func.value, ast.Name):
            return False
        return func.value.id == (self.task.self_name or "self") or (
            bool(call.via) and func.value.id in ("self", "task")
        )

    def _read_explicit(self, call: Call) -> Path:
        max_retries, max_place = self._explicit_max(call)
        backoff, backoff_place = self._explicit_backoff(call)
        clause = call.in_except
        exceptions: tuple[str, ...] = ()
        if clause is not None:
            exceptions = tuple(map(short, clause.exceptions))
            if clause.bare:
                exceptions = ("builtins.BaseException",)
        return Path(
            kind="explicit",
            exceptions=exceptions,
            place=place_of(call.module, call.node),
            max_retries=max_retries,
            max_place=max_place,
            backoff=backoff,
            backoff_place=backoff_place,
            conditional=self._is_conditional(call),
            call=call,
            spared=tuple(map(short, _list_taken_before(self.project, call))),
        )

    def _explicit_max(self, call: Call) -> tuple[Any, Place | None]:
        value, place = self._own_max(call)
        guard = self._find_guard(call)
        if guard is not None and is_known(value) and (value is None or guard[0] < value):
            return guard
        return value, place

    def _own_max(self, call: Call) -> tuple[Any, Place | None]:
        """`self.retry(max_retries=...)`, else what the task says."""
        node = call.keywords.get("max_retries") or (
            call.node.args[6] if len(call.node.args) > 6 else None
        )
        if not is_given(node):
            return self.task.option("max_retries"), self.task.place("max_retries")
        read = self.countdown.number(node, call.module)
        if read is not None:
            value = int(read)
        else:
            value = self.project.literal(node, call.module)
        return value, place_of(call.module, node)

    def _explicit_backoff(self, call: Call) -> tuple[Backoff | None, Place | None]:
        here = place_of(call.module, call.node)
        if call.argument(4, "eta") is not None:
            return None, here
        node = call.argument(5, "countdown")
        if is_given(node):
            self.countdown.random = False
            return self.countdown.backoff(node, call.module), here
        if has_spread(call.node):
            return None, here
        delay = self.task.option("default_retry_delay")
        fixed = None
        if isinstance(delay, int | float):
            fixed = Backoff("fixed", float(delay))
        return fixed, self.task.place("default_retry_delay")

    def _is_conditional(self, call: Call) -> bool:
        """An `if` between the clause (or the function) and the call decides, other than by counting
        retries.
        """
        for above in call.module.parents(call.node):
            if isinstance(above, ast.ExceptHandler | ast.FunctionDef | ast.AsyncFunctionDef):
                break
            if isinstance(above, ast.If | ast.IfExp | ast.Match) and not self._counts_retries(
                getattr(above, "test", None)
            ):
                return True
        return self._left_before(call)

    def _left_before(self, call: Call) -> bool:
        """`if is_permanent(exc): return` stands before the call in its clause."""
        if call.in_except is None:
            return False
        for statement in call.in_except.node.body:
            if not isinstance(statement, ast.If) or statement.lineno >= call.line:
                continue
            if leaves(statement.body) and not self._counts_retries(statement.test):
                return True
        return False

    def _counts_retries(self, test: ast.expr | None) -> bool:
        return test is not None and any(
            self.countdown.is_retries(n) for n in find_nodes(test, ast.expr)
        )

    def _find_guard(self, call: Call) -> tuple[int, Place] | None:
        """The largest number of retries that a comparison with `request.retries` lets through."""
        for test, holds in tests_before(call.module, call.node):
            limit = count_let_through(test, holds, self.countdown.is_retries)
            number = None
            if limit is not None:
                number = self.countdown.number(limit[0], call.module)
            if limit is not None and number is not None:
                return int(number) + limit[1], place_of(call.module, test)
        return None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _list_taken_before(project: Project, call: Call) -> tuple[str, ...]:
    """Exceptions that earlier clauses of the same `try` take away, and those of `try` blocks inside
    its body.
    """
    clause = call.in_except
    block = None
    if clause is not None:
        block = clause.module.above(clause.node, ast.Try)
    if clause is None or block is None:
        return ()
    found: list[str] = []
    for earlier in block.handlers[: block.handlers.index(clause.node)]:
        if not _asks_for_retry(earlier):
            found += project.handler(clause.module, earlier).exceptions
    return tuple(found)


def _asks_for_retry(clause: ast.ExceptHandler) -> bool:
    called = [call.func for call in find_nodes(clause, ast.Call)]
    return any(isinstance(func, ast.Attribute) and func.attr == "retry" for func in called)
