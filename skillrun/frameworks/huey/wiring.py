"""Who publishes or schedules a Huey task: calling the task is enqueueing it.

Sources: huey/api.py (`TaskWrapper.__call__`, `schedule`, `map`, `s`; `Task.then`, `Task.error`),
`periodic_task`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.huey.tasks import Task, read_task
from skillrun.frameworks.interface import FrameworkUse, Send
from skillrun.repo.python import Definition, Module, Project, Use

_METHODS = ("schedule", "map", "s")
_NEXT = ("then", "error", "callback")
_ON_COMMIT = ("on_commit", "partial", "enqueue")


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler, in order of path and line; calls of
    itself left out.
    """
    task = read_task(project, use, handler)
    every = list(_all(project, task))
    if all(wiring.in_tests for wiring in every):
        every += _handed_on(project, task)
    every += [
        tick for wiring in every if not wiring.in_tests for tick in _ticks(project, use, wiring)
    ]
    found: dict[tuple[str, int, str], Send] = {}
    for wiring in every:
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, task: Task) -> Iterator[Send]:
    if task.kind == "periodic" and task.registered is not None:
        yield Send(
            "schedule", task.registered, "periodic_task(...)", in_tests(task.registered.path)
        )
    for use in _uses(project, task):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Call) and above.func is use.node:
            yield _wiring(use.module, above, "call")
        elif (
            isinstance(above, ast.Call)
            and use.node in above.args
            and _called(above) in (*_NEXT, *_ON_COMMIT)
        ):
            yield _wiring(use.module, above, f".{_called(above)}(...)")
        elif isinstance(above, ast.Attribute) and above.attr in _METHODS:
            yield _wiring(use.module, above, f".{above.attr}(...)")


def _ticks(project: Project, use: FrameworkUse, wiring: Send) -> Iterator[Send]:
    """The periodic tasks that come to an enqueueing call: its own function, or one that calls
    that.
    """
    module = project.module(wiring.place.path)
    for node in ast.walk(module.tree) if module is not None and wiring.kind == "enqueue" else ():
        holds = isinstance(node, ast.FunctionDef) and node.lineno <= wiring.place.line <= (
            node.end_lineno or 0
        )
        if module is None or not holds or not isinstance(node, ast.FunctionDef):
            continue
        definition = project.define(module, node)
        for function in (definition, *_callers(project, definition)):
            task = read_task(project, use, function)
            if (
                task.kind == "periodic"
                and task.registered is not None
                and not in_tests(task.registered.path)
            ):
                yield Send(
                    "schedule", task.registered, "periodic_task(...) that enqueues it", False
                )


def _callers(project: Project, definition: Definition) -> Iterator[Definition]:
    for use in project.uses(definition.dotted):
        function = use.module.function_of(use.node)
        if function is not None and function is not definition.node:
            yield project.define(use.module, function)


def _uses(project: Project, task: Task) -> Iterator[Use]:
    for name in task.names:
        for use in project.uses(name):
            if task.handler.node not in use.module.parents(use.node):
                yield use


def _handed_on(project: Project, task: Task) -> Iterator[Send]:
    """The task as a value, in a mapping or an argument: somebody publishes it, but the text does
    not say where.
    """
    for use in _uses(project, task):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not in_tests(
            use.path
        ):
            yield _wiring(use.module, use.node, "handed on as a value")


def sites(project: Project, task: Task) -> Iterator[tuple[Module, ast.Call]]:
    """The calls outside tests that make a message: `send(...)`, `send.schedule(...)`,
    `send.s(...)`.
    """
    for use in _uses(project, task):
        node: ast.AST = use.node
        above = list(use.module.parents(use.node))[:2]
        if above and isinstance(above[0], ast.Attribute) and above[0].attr in ("schedule", "s"):
            node, above = above[0], above[1:]
        if (
            above
            and isinstance(above[0], ast.Call)
            and above[0].func is node
            and not in_tests(use.path)
        ):
            yield use.module, above[0]


def _wiring(module: Module, node: ast.AST, how: str) -> Send:
    return Send("enqueue", place_of(module, node), how, in_tests(module.path))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
