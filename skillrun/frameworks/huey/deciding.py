"""Receivers of SIGNAL_ERROR that decide about a retry: Huey sends it before it looks at the retries
that are left.

Source: huey/api.py `_execute` (the signal, then `task.retries`, then `_requeue_task`), alike in
Huey 2 and 3.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.huey.failures import gives_up
from skillrun.frameworks.huey.hooks import receivers
from skillrun.frameworks.huey.tasks import Task

if TYPE_CHECKING:
    from skillrun.frameworks.interface import (
        Backoff,
    )
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse, Place


def decided(project: Project, use: FrameworkUse, task: Task, exception: str) -> str:
    """What becomes of an exception that leaves the task: retries, stops (a receiver gives it up),
    unsure.
    """
    answers = set()
    for receiver in _find_deciding(project, use, "retries"):
        answers.add(_read_answer(project, task, receiver, exception))
    if "stops" in answers:
        return "stops"
    if "unsure" in answers:
        return "unsure"
    return "retries"


def own_wait(
    project: Project, use: FrameworkUse, task: Task, retries: int
) -> tuple[Backoff | None, Place] | None:
    """(the waits, the line) where a receiver sets `task.retry_delay`; the waits are None where they
    cannot be read.
    """
    found = []
    for receiver in _find_deciding(project, use, "retry_delay"):
        for node in ast.walk(receiver.node):
            if _sets(node, "retry_delay"):
                found.append((receiver, node))
    if not found:
        return None
    receiver, node = found[0]
    place = place_of(receiver.module, node)
    if len(found) > 1 or not isinstance(node, ast.Assign) or not _is_for(project, task, receiver):
        return None, place
    return _Left(project, retries).backoff(node.value, receiver.module), place


def _find_deciding(project: Project, use: FrameworkUse, name: str) -> Iterator[Definition]:
    """The receivers that set an attribute of the task."""
    for receiver, _ in receivers(project, use, "error"):
        if any(_sets(node, name) for node in ast.walk(receiver.node)):
            yield receiver


def _sets(node: ast.AST, name: str) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    return any(isinstance(target, ast.Attribute) and target.attr == name for target in targets)


def _is_for(project: Project, task: Task, receiver: Definition) -> bool:
    """It leaves at once where the failed task is not this one: `if not isinstance(task,
    send.task_class): return`.
    """
    first = next((node for node in _list_body(receiver) if isinstance(node, ast.If)), None)
    if (
        first is None
        or not isinstance(first.body[-1], ast.Return)
        or not isinstance(first.test, ast.UnaryOp)
    ):
        return False
    asked = first.test.operand
    if (
        not isinstance(asked, ast.Call)
        or not isinstance(asked.func, ast.Name)
        or asked.func.id != "isinstance"
    ):
        return False
    kind = asked.args[-1]
    name = None
    if isinstance(kind, ast.Attribute) and kind.attr == "task_class":
        name = receiver.module.resolve(kind.value)
    if not name:
        return False
    return project.origin(name) in task.names


def _list_body(receiver: Definition) -> list[ast.stmt]:
    if isinstance(receiver.node, ast.ClassDef):
        return []
    return receiver.node.body


def _read_answer(project: Project, task: Task, receiver: Definition, exception: str) -> str:
    """`if not isinstance(error, X): task.retries = 0`, in the receiver's own block; anything else
    is unsure.
    """
    setting = []
    for node in ast.walk(receiver.node):
        if _sets(node, "retries"):
            setting.append(node)
    above = next(
        (
            node
            for node in _list_body(receiver)
            if isinstance(node, ast.If) and setting[0] in node.body
        ),
        None,
    )
    kinds = None
    if above is not None:
        kinds = _read_spared_test(receiver, above.test)
    if (
        len(setting) > 1
        or kinds is None
        or not gives_up(setting[0])
        or not _is_for(project, task, receiver)
    ):
        return "unsure"
    return _is_among(project, receiver.module, kinds, exception)


def _read_spared_test(receiver: Definition, test: ast.expr) -> ast.expr | None:
    """The exceptions of `not isinstance(error, X)`, where `error` is the receiver's third
    parameter.
    """
    asked = None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        asked = test.operand
    name = None
    if len(receiver.parameters) > 2:
        name = receiver.parameters[2]
    if (
        not isinstance(asked, ast.Call)
        or not isinstance(asked.func, ast.Name)
        or asked.func.id != "isinstance"
    ):
        return None
    given = None
    if len(asked.args) == 2:
        given = asked.args[0]
    if isinstance(given, ast.Name) and given.id == name:
        return asked.args[1]
    return None


def _is_among(project: Project, module: Module, kinds: ast.expr, exception: str) -> str:
    """Whether an exception is one of those that are spared, as far as its bases are known."""
    names = {short(name) for name in project.exception_names(kinds, module)}
    bases = ancestors(project, exception)
    if bases & names or "builtins.Exception" in names:
        return "retries"
    outside = []
    for name in bases:
        if not name.startswith("builtins.") and project.definition(name) is None:
            outside.append(name)
    if outside:
        return "unsure"
    return "stops"


class _Left(Countdown):
    """`task.retries` counts down: what is left of `retries` before each wait."""

    def __init__(self, project: Project, retries: int) -> None:
        super().__init__(project, {})
        self._retries = retries

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if isinstance(node, ast.Attribute) and node.attr == "retries":
            return self._retries - retries
        return super()._evaluate(node, module, retries, given, depth)
