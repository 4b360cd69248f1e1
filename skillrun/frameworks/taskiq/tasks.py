"""What makes a function a task, and the labels that it has.

Sources: taskiq/abc/broker.py (`task`, `register_task`), taskiq/decor.py (`kiq`, `kicker`),
taskiq/kicker.py (`with_labels` goes over the decorator's labels).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import find_made, options_of, place_of
from skillrun.frameworks.taskiq.brokers import Broker, brokers_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.uses import Place

MAKERS = ("task", "register_task")
_NOT_LABELS = ("task_name", "func")
Found = tuple[ast.expr, Module]


@dataclass
class Task:
    """A handler as taskiq sees it. `registered` is the decorator or the call that makes it a
    task.
    """

    handler: Definition
    registered: Place | None = None
    labels: dict[str, Found] = field(default_factory=dict)
    brokers: tuple[Broker, ...] = ()
    unread: bool = False  # some labels cannot be told

    @property
    def broker(self) -> Broker | None:
        """The one that counts: none in memory, where there is another."""
        return next(iter(self.brokers), None)


def find_handler(project: Project, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `broker.task(f)`
    returned.
    """
    return find_made(project, import_path, lambda call, module: is_maker(call))


def read_task(project: Project, handler: Definition) -> Task:
    """The task behind a handler."""
    return project.remember(
        ("taskiq.task", handler.dotted), lambda: _read_decorated(project, handler)
    )


def _read_decorated(project: Project, handler: Definition) -> Task:
    task = Task(handler)
    for node in handler.decorators:
        if _read_made(project, task, node, handler.module):
            return task
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        given = (
            isinstance(above, ast.Call)
            and use.node in above.args
            and not is_plainly_test(use.path)
            and is_maker(above)
        )
        if (
            isinstance(above, ast.Call)
            and given
            and _read_made(project, task, _find_maker(above), use.module)
        ):
            return task
    return task


def is_maker(call: ast.Call) -> bool:
    """`broker.register_task(f, ...)`, `broker.task(f)` or `broker.task(...)(f)`."""
    node = _find_maker(call)
    if isinstance(node, ast.Call):
        func = node.func
    else:
        func = node
    return isinstance(func, ast.Attribute) and func.attr in MAKERS


def _find_maker(call: ast.Call) -> ast.expr:
    if isinstance(call.func, ast.Call):
        return call.func
    return call


def _read_made(project: Project, task: Task, node: ast.expr, module: Module) -> bool:
    if isinstance(node, ast.Call):
        func = node.func
    else:
        func = node
    if not isinstance(func, ast.Attribute) or func.attr not in MAKERS:
        return False
    brokers = brokers_of(project, func.value, module)
    # One that is made out of sight.
    named = "broker" in ast.unparse(func.value).lower()
    if not brokers and not named and not project.origin_of(module, func).startswith("taskiq"):
        return False
    if isinstance(node, ast.Call):
        options, task.unread = options_of(project, node, module)
    else:
        options, task.unread = ({}, False)
    task.labels = {
        name: (value, module) for name, value in options.items() if name not in _NOT_LABELS
    }
    task.registered, task.brokers = place_of(module, node), brokers
    return True
