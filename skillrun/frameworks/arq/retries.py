"""What a handler raises as `Retry`: for which exceptions, after which wait, and up to which try.

Source: arq/worker.py (`Retry`, `run_job`): Retry alone is run again, at `defer` from now; every run that begins counts
as a try, a death too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.common.guards import count_let_through, tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Backoff

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Place
    from skillrun.repo.python import Call, Definition, Handler, Module, Project

RETRY = ("arq.worker.Retry", "arq.Retry")
_LIKE_A_COUNT = re.compile(r"tr(?:y|ies)(?![a-z])|attempt", re.IGNORECASE)  # `log.attempts < 3`, `tries_left(job_try)`
_DEEP = 2  # functions of the repository that are followed


@dataclass(frozen=True)
class Path:
    """One `raise Retry(...)`. `bound` is the last try that it lets through to a run after it; None: no comparison."""

    call: Call
    clause: Handler | None
    backoff: Backoff | None  # None: it cannot be read
    bound: int | None = None
    bound_place: Place | None = None
    bound_unread: bool = False  # something compares the try with what cannot be read
    around: bool = False  # in a decorator of the handler

    @property
    def place(self) -> Place:
        """Where it is raised."""
        return place_of(self.call.module, self.call.node)


class Tries(Countdown):
    """`ctx["job_try"]` counts from 1: what it is at each retry."""

    def is_retries(self, node: ast.expr) -> bool:
        """`ctx["job_try"]`, `ctx.get("job_try", 1)`, `int(ctx.get("job_try") or 1)`."""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self.is_retries(node.values[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "int" and node.args:
            return self.is_retries(node.args[0])
        if isinstance(node, ast.Subscript):
            return isinstance(node.slice, ast.Constant) and node.slice.value == "job_try"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == "job_try"
        return False

    def counts(self, node: ast.expr, module: Module) -> bool:
        """The try itself, also by the name of a local variable that holds it."""
        if not isinstance(node, ast.Name):
            return self.is_retries(node)
        function = module.function_of(node)
        bound = module.bindings(function).get(node.id, []) if function is not None else []
        return any(one.value is not None and self.is_retries(one.value) for one in bound)

    def _number(self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int) -> float:
        if self.is_retries(node):
            return retries + 1
        return super()._number(node, module, retries, given, depth)


def find_retries(project: Project, handler: Definition) -> tuple[Path, ...]:
    """Every `Retry` that is raised on the handler's way, in order."""
    return project.remember(("arq.retries", handler.dotted), lambda: tuple(_find(project, handler)))


def _find(project: Project, handler: Definition) -> Iterator[Path]:
    for call in project.calls(handler, depth=_DEEP):
        if _is_raised(project, call):
            yield _read(project, call)
    for decorator in decorators(project, handler):
        for node in (n for n in ast.walk(decorator.node) if isinstance(n, ast.Call)):
            inside = project.call_at(decorator.module, node)
            if _is_raised(project, inside):
                yield replace(_read(project, inside), around=True)


def _is_raised(project: Project, call: Call) -> bool:
    return is_retry(project, call) and isinstance(next(call.module.parents(call.node), None), ast.Raise)


def decorators(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """The repository's own around the handler."""
    named = (node.func if isinstance(node, ast.Call) else node for node in handler.decorators)
    found = (project.definition(handler.module.resolve(node) or "") for node in named)
    return tuple(one for one in found if one is not None and not one.is_class)


def clauses(project: Project, handler: Definition) -> tuple[Handler, ...]:
    """The except clauses of the handler, of what it calls, and of its decorators."""
    around = [
        project.handler(decorator.module, node)
        for decorator in decorators(project, handler)
        for node in ast.walk(decorator.node)
        if isinstance(node, ast.ExceptHandler)
    ]
    return (*project.handlers(handler, depth=1), *around)


def is_retry(project: Project, call: Call) -> bool:
    """`Retry(...)` of arq's own, or of a class derived from it."""
    return any(name in RETRY for name in (call.origin, *project.ancestors(call.origin)))


def raises_retry(project: Project, clause: Handler) -> bool:
    """Some way through a clause, or through a function that it calls, leads to a Retry."""
    for node in ast.walk(clause.node):
        if isinstance(node, ast.Call):
            call = project.call_at(clause.module, node)
            own = project.definition(call.name) if call.resolved else None
            inner = project.calls(own, depth=1) if own is not None and not own.is_class else ()
            if any(is_retry(project, one) for one in (call, *inner)):
                return True
    return False


def _read(project: Project, call: Call) -> Path:
    tries = Tries(project, {})
    bound, place, unread = _bound(tries, call)
    return Path(call, call.in_except, _backoff(tries, call), bound, place, unread)


def _backoff(tries: Tries, call: Call) -> Backoff | None:
    node = call.argument(0, "defer")
    if node is None:
        spread = any(keyword.arg is None for keyword in call.node.keywords)
        return None if spread else Backoff("none")
    if isinstance(node, ast.Constant) and not node.value:
        return Backoff("none")
    return tries.backoff(node, call.module)


def _bound(tries: Tries, call: Call) -> tuple[int | None, Place | None, bool]:
    """The least of all comparisons on the way, in its own function."""
    found: list[tuple[int, Place]] = []
    unread = False
    for test, holds in tests_before(call.module, call.node):
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and holds else [test]
        for part in parts:
            limit = count_let_through(part, holds, lambda node: tries.counts(node, call.module))
            number = tries.number(limit[0], call.module) if limit else None
            if limit is not None and number is not None:
                found.append((int(number) + limit[1], place_of(call.module, part)))
            elif _LIKE_A_COUNT.search(ast.unparse(part)):
                unread = True
    if not found:
        return None, None, unread
    least = min(found, key=lambda pair: pair[0])
    return least[0], least[1], unread
