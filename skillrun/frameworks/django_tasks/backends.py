"""The setting TASKS: which backend a task goes to, and which queues that takes.

Sources: django/tasks/__init__.py (`TaskBackendHandler`), django/tasks/backends/base.py.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_tasks.tasks import Task
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module, Project, is_known
from skillrun.repo.syntax import find_nodes, is_constant
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
        """Whether it writes a row in the transaction that is open."""
        return self.path in DATABASE


def find_backends(project: Project, use: FrameworkUse, task: Task) -> tuple[Backend, ...]:
    """The backends that a task may go to: one for each settings module that sets TASKS."""
    alias: Any = DEFAULT
    node = task.options.get("backend")
    if node is not None:
        alias = project.literal(node, task.handler.module)
    if not isinstance(alias, str):
        return ()
    return _read_backends(project, settings(project, use), alias)


def find_default_backends(
    project: Project, use: FrameworkUse, *, tests: bool = False
) -> tuple[Backend, ...]:
    """The backends that a task without options may go to; on request by the settings of tests
    too.
    """
    modules = settings(project, use)
    if tests:
        modules = tuple(project.modules_with("TASKS"))
    return _read_backends(project, modules, DEFAULT)


def _read_backends(
    project: Project, modules: tuple[Module, ...], alias: str
) -> tuple[Backend, ...]:
    """The backends of that name that modules set."""
    backends = []
    for module in modules:
        backend = _read_backend(project, module, alias)
        if backend is not None:
            backends.append(backend)
    return tuple(backends)


def settings(project: Project, use: FrameworkUse) -> tuple[Module, ...]:
    """The settings modules: those that DJANGO_SETTINGS_MODULE names, and those that were seen to
    set TASKS.
    """
    modules = {module.path: module for module in project.settings_modules()}
    for app in use.apps:
        # "shop/settings.py:TASKS"
        path = app.partition(":")[0]
        if not app.endswith(":TASKS") or is_plainly_test(path):
            continue
        module = project.module(path)
        if module is not None:
            modules[module.path] = module
    return tuple(modules.values())


def _read_backend(project: Project, module: Module, alias: str) -> Backend | None:
    """The entry of TASKS with that alias; None where a module has none that can be read."""
    bound = module.bindings(module.tree).get("TASKS", [])
    if not bound:
        return None
    tasks = project.variable(module, "TASKS")
    if not isinstance(tasks, dict):
        return None
    entry = tasks.get(alias)
    if not isinstance(entry, dict):
        return None
    node: ast.AST = bound[0].node
    if bound[0].value is not None:
        node = bound[0].value
    path = entry.get("BACKEND")
    if not isinstance(path, str):
        path = None
    readable = {}
    for name, value in entry.items():
        if is_known(value):
            readable[name] = value
    return Backend(alias, place_of(module, _find_key(node, "BACKEND") or node), path, readable)


def _find_key(node: ast.AST, key: str) -> ast.expr | None:
    """Where a key of a written-out setting stands."""
    for dictionary in find_nodes(node, ast.Dict):
        for written in dictionary.keys:
            if is_constant(written, key):
                return written
    return None
