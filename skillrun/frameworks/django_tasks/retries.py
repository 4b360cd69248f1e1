"""How a handler enqueues itself again: after which errors and waits, and up to which attempt.

The library runs a row once, so the attempt's number goes along as an argument: `enqueue(number,
attempt=attempt + 1)`. Source: `Worker.run_task` in
django_tasks_db/management/commands/db_worker.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.again import Path, Tries, bodies, find_bound
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_tasks.sends import find_real_enqueues
from skillrun.frameworks.django_tasks.tasks import read_task
from skillrun.frameworks.interface import Arguments, Backoff, Send
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Handler, Module, Project

_NOW = ("now", "utcnow")


class Attempts(Tries):
    """A parameter that each enqueueing raises by one."""

    def __init__(self, project: Project, name: str | None, first: int) -> None:
        super().__init__(project, {})
        self.name, self.first = name, first

    def is_retries(self, node: ast.expr) -> bool:
        """The parameter itself."""
        return isinstance(node, ast.Name) and node.id == self.name

    def _evaluate_call(
        self, node: ast.Call, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        """`timezone.now() + timedelta(...)` counts from now on."""
        name = module.resolve(node.func) or ""
        if name.rpartition(".")[2] in _NOW:
            return 0.0
        return super()._evaluate_call(node, module, retries, given, depth)


@dataclass(frozen=True)
class Again:
    """One enqueueing of the handler by itself. `count` is the parameter with the attempt; None
    where there is none.
    """

    path: Path
    count: str | None
    first: int  # what it is in the first run

    @property
    def attempts(self) -> int | None:
        """How many runs there are at most; None where nothing bounds them."""
        if self.path.bound is None or self.count is None:
            return None
        return max(1, self.path.bound - self.first + 1)


def find_again(project: Project, handler: Definition) -> tuple[Again, ...]:
    """Every enqueueing of the handler's own task on its way, in order."""
    return project.remember(
        ("django-tasks.again", handler.dotted), lambda: tuple(_find_enqueueings(project, handler))
    )


def attempts_in(project: Project, handler: Definition, part: Definition) -> Attempts:
    """What counts the attempts in one of the handler's functions."""
    found = None
    for one in find_again(project, handler):
        if one.path.call.node in set(ast.walk(part.node)):
            found = one
            break
    return Attempts(project, found.count if found else None, found.first if found else 1)


def enqueues_again(project: Project, handler: Definition, clause: Handler) -> bool:
    """Some way through a clause, or through a function that it calls, enqueues the handler."""
    own = {id(one.path.call.node) for one in find_again(project, handler)}
    for node in find_nodes(clause.node, ast.Call):
        if id(node) in own:
            return True
        called = project.definition(clause.module.resolve(node.func) or "")
        if called is not None and any(id(inner) in own for inner in ast.walk(called.node)):
            return True
    return False


def _find_enqueueings(project: Project, handler: Definition) -> Iterator[Again]:
    task = read_task(project, handler)
    around = [part.node for part in bodies(project, handler)[1:]]
    for send in find_real_enqueues(project, task):
        call = send.call
        if call is None or send.arguments is None or not send.own:
            continue
        count, first = _find_counter(project, handler, call, send.arguments)
        tries = Attempts(project, count, first)
        outside = any(above in around for above in call.module.parents(call.node))
        clause = call.in_except or _find_calling_clause(project, handler, call)
        path = Path(
            place_of(call.module, call.node),
            clause,
            _read_backoff(tries, send),
            *find_bound(tries, call.module, call.node),
            call=call,
            around=outside,
        )
        yield Again(path, count, first)


def _find_calling_clause(project: Project, handler: Definition, sent: Call) -> Handler | None:
    """Of an enqueueing in a function of its own, the clause that calls it."""
    function = sent.module.function_of(sent.node)
    if function is None or function is handler.node:
        return None
    name = project.define(sent.module, function).dotted
    for call in project.calls(handler, depth=1):
        if call.origin == name:
            return call.in_except
    return None


def _find_counter(
    project: Project, handler: Definition, call: Call, arguments: Arguments
) -> tuple[str | None, int]:
    """(parameter, its first value) of `attempt=attempt + 1`, or of the same by position."""
    for node in arguments.values:
        is_sum = (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Add)
            and isinstance(node.left, ast.Name)
        )
        if is_sum and isinstance(node, ast.BinOp) and isinstance(node.left, ast.Name):
            return node.left.id, _read_first_value(project, handler, call, node.left.id)
    return None, 1


def _read_first_value(project: Project, handler: Definition, call: Call, name: str) -> int:
    """A parameter's default in the function around the call, else in the handler."""
    around = call.module.function_of(call.node)
    for function, module in ((around, call.module), (handler.node, handler.module)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        args = [*function.args.posonlyargs, *function.args.args]
        pairs = [
            *zip(
                args[len(args) - len(function.args.defaults) :], function.args.defaults, strict=True
            )
        ]
        for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
            if d:
                pairs.append((a, d))
        value = None
        for arg, default in pairs:
            if arg.arg == name:
                value = project.literal(default, module)
                break
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return 1


def _read_backoff(tries: Attempts, send: Send) -> Backoff | None:
    found = send.options.get("run_after")
    if found is not None:
        return tries.backoff(*found)
    if send.options_hidden:
        return None
    return Backoff("none")
