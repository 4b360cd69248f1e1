"""The setting TASKS: which backend a task goes to, and which queues that takes.

Sources: django/tasks/__init__.py (`TaskBackendHandler`), django/tasks/backends/base.py.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.django_tasks.tasks import Task
from skillrun.repo.python import Module, Project, is_known
from skillrun.repo.syntax import is_constant
from skillrun.repo.uses import FrameworkUse, Place

DEFAULT = "default"
MOVED = "django_tasks.backends.database.DatabaseBackend"
DATABASE = ("django_tasks_db.DatabaseBackend", "django_tasks_db.backend.DatabaseBackend", MOVED)


@dataclass(frozen=True)
class Backend:
    """One entry of TASKS. `kind` is its class's name where it can be read: ImmediateBackend,
    DatabaseBackend, ...
    """

    alias: str
    place: Place
    path: str | None  # of the class
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The class's own name; "" where it cannot be read."""
        return (self.path or "").rpartition(".")[2]

    @property
    def is_database(self) -> bool:
        """It writes a row in the transaction that is open."""
        return self.path in DATABASE


def find_backends(project: Project, use: FrameworkUse, task: Task) -> tuple[Backend, ...]:
    """The backends that a task may go to: one for each settings module that sets TASKS."""
    node = task.options.get("backend")
    if node is not None:
        alias = project.literal(node, task.handler.module)
    else:
        alias = DEFAULT
    if not isinstance(alias, str):
        return ()
    found = (_read_backend(project, module, alias) for module in settings(project, use))
    backends = []
    for one in found:
        if one is not None:
            backends.append(one)
    return tuple(backends)


def find_default_backends(
    project: Project, use: FrameworkUse, *, tests: bool = False
) -> tuple[Backend, ...]:
    """The backends that a task without options may go to; on request by the settings of tests
    too.
    """
    modules = settings(project, use)
    if tests:
        modules = tuple(project.modules_with("TASKS"))
    found = []
    for module in modules:
        if (one := _read_backend(project, module, DEFAULT)) is not None:
            found.append(one)
    return tuple(found)


def settings(project: Project, use: FrameworkUse) -> tuple[Module, ...]:
    """The settings modules: those that DJANGO_SETTINGS_MODULE names, and those that were seen to
    set TASKS.
    """
    paths = []
    for app in use.apps:
        if app.endswith(":TASKS"):
            paths.append(app.partition(":")[0])
    seen = (project.module(path) for path in paths if not in_tests(path))
    every = [*project.settings_modules(), *(module for module in seen if module is not None)]
    return tuple({module.path: module for module in every}.values())


def _read_backend(project: Project, module: Module, alias: str) -> Backend | None:
    bound = module.bindings(module.tree).get("TASKS", [])
    if not bound:
        return None
    value = project.variable(module, "TASKS")
    entry = None
    if isinstance(value, dict):
        entry = value.get(alias)
    if not isinstance(entry, dict):
        return None
    node = bound[0].value if bound[0].value is not None else bound[0].node
    path = entry.get("BACKEND")
    return Backend(
        alias,
        place_of(module, _find_key(node, "BACKEND") or node),
        path if isinstance(path, str) else None,
        {name: held for name, held in entry.items() if is_known(held)},
    )


def _find_key(node: ast.AST, key: str) -> ast.expr | None:
    """Where a key of a written-out setting stands."""
    for held in ast.walk(node):
        if isinstance(held, ast.Dict):
            for name in held.keys:
                if is_constant(name, key):
                    return name
    return None
