"""What makes a function a task.

Sources: django/tasks/base.py and django_tasks/base.py (`task`).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import find_made, options_of, place_of
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.uses import Place

MAKERS = tuple(
    f"{module}.task"
    for module in ("django.tasks", "django.tasks.base", "django_tasks", "django_tasks.base")
)


@dataclass(frozen=True)
class Task:
    """A handler as Django sees it."""

    handler: Definition
    registered: Place | None = None  # the decorator or call that makes it a task
    options: dict[str, ast.expr] = field(default_factory=dict)
    name: str = ""  # dotted, of the task object

    def is_on(self, project: Project, option: str) -> bool:
        """An option is given, and True."""
        node = self.options.get(option)
        return node is not None and project.literal(node, self.handler.module) is True


def find_task(project: Project, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `task(...)(function)`
    returned.
    """

    def is_made(call: ast.Call, module: Module) -> bool:
        makers = (call.func, call)
        return any(_read_maker(project, node, module) is not None for node in makers)

    return find_made(project, import_path, is_made)


def read_task(project: Project, handler: Definition) -> Task:
    """The options of a handler, from its decorator or from the call that makes it a task."""
    return project.remember(
        ("django-tasks.task", handler.dotted), lambda: _read_decorated(project, handler)
    )


def _read_decorated(project: Project, handler: Definition) -> Task:
    for node in handler.decorators:
        made = _read_maker(project, node, handler.module)
        if made is not None:
            return Task(handler, place_of(handler.module, node), made, handler.dotted)
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if not isinstance(above, ast.Call) or use.node not in above.args:
            continue
        made = _read_maker(project, above.func, use.module) or _read_maker(
            project, above, use.module
        )
        bound = next(use.module.parents(above), None)
        if (
            made is not None
            and isinstance(bound, ast.Assign)
            and isinstance(bound.targets[0], ast.Name)
        ):
            return Task(
                handler,
                place_of(use.module, above),
                made,
                f"{use.module.name}.{bound.targets[0].id}",
            )
    return Task(handler)


def _read_maker(project: Project, node: ast.expr, module: Module) -> dict[str, ast.expr] | None:
    """The options of `task` or `task(...)`; None for anything else, the backend's own decorators
    included.
    """
    call = None
    if isinstance(node, ast.Call):
        call = node
    if project.origin_of(module, call.func if call else node) not in MAKERS:
        return None
    if not call:
        return {}
    return options_of(project, call, module)[0]
