"""What Celery calls around a run: methods of the task's class, and receivers of its signals.

Sources: Celery's user guide, "Task: Handlers" and "Signals". A receiver that names another sender
is never called for this task.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.celery.tasks import Task, names_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.source import Module
from skillrun.repo.syntax import find_keyword, is_given

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project

# event -> (method of the Task class, signal)
HOOKS = {
    "started": ("before_start", "task_prerun"),
    "succeeded": ("on_success", "task_success"),
    "failed": ("on_failure", "task_failure"),
    "retried": ("on_retry", "task_retry"),
}


def find_hooks(project: Project, task: Task) -> dict[str, Definition]:
    """Event -> the first of the repository's functions that is called then."""
    found = {}
    for event, (method, signal) in HOOKS.items():
        hook = project.member(task.classes, method) or next(receivers(project, task, signal), None)
        if hook is not None:
            found[event] = hook
    return found


def receivers(project: Project, task: Task, signal: str) -> Iterator[Definition]:
    """The functions under `@task_failure.connect`, or in `task_failure.connect(f)`, that hear of
    this task.

    Those that name it as the sender come first: what hears of every task is the application's, and
    not the job's.
    """
    general: list[Definition] = []
    for use in project.uses(f"celery.signals.{signal}"):
        if is_plainly_test(use.path):
            continue
        connect = _connect_call(use.module, use.node)
        receiver = _find_receiver(project, use.module, use.node)
        if receiver is not None and (
            connect is None or _hears_task(project, task, use.module, connect)
        ):
            if connect is not None and any(keyword.arg == "sender" for keyword in connect.keywords):
                yield receiver
            else:
                general.append(receiver)
    yield from general


def _connect_call(module: Module, node: ast.expr) -> ast.Call | None:
    """`task_failure.connect(...)` around the signal's name; None for the bare decorator."""
    method = next(module.parents(node), None)
    if method is None:
        return None
    return module.find_call_of(method)


def _hears_task(project: Project, task: Task, module: Module, connect: ast.Call) -> bool:
    """No sender, the task itself, or its name; what cannot be told is taken for another task."""
    sender = find_keyword(connect, "sender")
    if not is_given(sender):
        return True
    if isinstance(sender, ast.Constant):
        return sender.value in names_of(task)
    name = module.resolve(sender)
    return name is not None and project.origin(name) == project.origin(task.handler.dotted)


def _find_receiver(project: Project, module: Module, node: ast.expr) -> Definition | None:
    for above in list(module.parents(node))[:3]:
        if isinstance(above, ast.FunctionDef):
            return project.define(module, above)
        if isinstance(above, ast.Call) and above.args:
            name = module.resolve(above.args[0])
            found = None
            if name:
                found = project.definition(name)
            if found is not None and not found.is_class:
                return found
    return None
