"""The repository's receivers of the signals that are sent around a task.

Sources: django/tasks/signals.py, django_tasks/signals.py. task_finished comes with a FAILED and a
SUCCESSFUL result.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.repo.places import is_plainly_test

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project

_MODULES = ("django.tasks.signals", "django_tasks.signals")
_EVENTS = {"started": "task_started", "failed": "task_finished"}


def find_hooks(project: Project) -> dict[str, Definition]:
    """Event -> receiver."""
    found = {}
    for event, signal in _EVENTS.items():
        found[event] = next(iter(receivers(project, signal)), None)
    return {event: receiver for event, receiver in found.items() if receiver is not None}


def receivers(project: Project, signal: str) -> Iterator[Definition]:
    """The functions under `@receiver(signal)`, and those given to `signal.connect(...)`."""
    for module in project.modules_with(signal):
        for node in module.all_nodes if not is_plainly_test(module.path) else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if any(_hears_signal(project, module, one, signal) for one in node.decorator_list):
                    yield project.define(module, node)
            elif isinstance(node, ast.Call):
                connected = _find_connected(project, module, node, signal)
                if connected is not None:
                    yield connected


def _hears_signal(project: Project, module: Module, node: ast.expr, signal: str) -> bool:
    if (
        not isinstance(node, ast.Call)
        or module.resolve(node.func) != "django.dispatch.receiver"
        or not node.args
    ):
        return False
    if isinstance(node.args[0], ast.List | ast.Tuple):
        given = node.args[0].elts
    else:
        given = [node.args[0]]
    return any(_is_signal(project, module, one, signal) for one in given)


def _find_connected(
    project: Project, module: Module, node: ast.Call, signal: str
) -> Definition | None:
    func = node.func
    if not isinstance(func, ast.Attribute) or func.attr != "connect" or not node.args:
        return None
    if not _is_signal(project, module, func.value, signal):
        return None
    return project.definition(module.resolve(node.args[0]) or "")


def _is_signal(project: Project, module: Module, node: ast.expr, signal: str) -> bool:
    return project.origin_of(module, node) in [f"{home}.{signal}" for home in _MODULES]
