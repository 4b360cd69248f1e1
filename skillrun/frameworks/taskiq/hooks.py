"""What taskiq calls around a task: the methods of the repository's own middlewares.

Source: taskiq/receiver/receiver.py. `pre_execute` in the order of the list, all the others in
reverse; `on_error` is given the exception, and `result.error` is a NoResultError once a middleware
that was asked before has retried.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.taskiq.tasks import Task, read_task
from skillrun.repo.syntax import find_nodes, name_method

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project

_ASKS = ("NoResultError", "_retries", "max_retries")
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log")
_FAILED = ("is_err", ".error", "exception")


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> method."""
    found: dict[str, Definition] = {}
    for name, method in methods(project, read_task(project, handler)):
        text = ast.unparse(method.node)
        if name == "pre_execute":
            found.setdefault("started", method)
        elif name == "on_error":
            found.setdefault("failed", method)
            if any(
                _logs_something(branch)
                for node in ast.walk(method.node)
                for branch in _of_retries(node)
            ):
                found.setdefault("retried", method)
        elif any(word in text for word in _FAILED):
            found.setdefault("failed", method)
            if "else" in text or "not result.is_err" in text:
                found.setdefault("succeeded", method)
        else:
            found.setdefault("succeeded", method)
    return found


def _of_retries(node: ast.AST) -> list[list[ast.stmt]]:
    """The branches of a condition in which the task will be run again, or may be."""
    text = ""
    if isinstance(node, ast.If):
        text = ast.unparse(node.test)
    if not isinstance(node, ast.If) or not any(word in text for word in _ASKS):
        return []
    if "NoResultError" not in text:
        return [node.body, node.orelse]
    return [node.orelse if text.startswith("not ") else node.body]


def _logs_something(body: list[ast.stmt]) -> bool:
    calls = (node for one in body for node in find_nodes(one, ast.Call))
    return any(name_method(call) in _LEVELS for call in calls)


def methods(
    project: Project,
    task: Task,
    names: tuple[str, ...] = ("pre_execute", "on_error", "post_execute", "post_save"),
) -> Iterator[tuple[str, Definition]]:
    """(name, method) in the order of the broker's middlewares."""
    if task.broker is None:
        return
    for part in task.broker.parts:
        if part.own is not None:
            for name in names:
                method = None
                if part.own is not None:
                    method = project.member([part.own], name)
                if method is not None:
                    yield name, method
