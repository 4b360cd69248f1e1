"""What makes a function a Procrastinate task, and the options that it then has.

Sources: procrastinate/blueprints.py (`Blueprint.task`, `periodic`, `add_tasks_from`),
procrastinate/tasks.py (`Task`), procrastinate/contrib/django/procrastinate_app.py (`app`).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import find_made, options_of, place_of
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import is_none

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse, Place

DJANGO = re.compile(r"procrastinate\.contrib\.django\.(?:procrastinate_app\.)?(?:current_)?app")
_MADE = re.compile(r"procrastinate\.(?:app\.|blueprints\.)?(?:App|Blueprint)(?:\(\))?")


@dataclass(frozen=True)
class Periodic:
    """One `@app.periodic(cron=...)` over a task."""

    call: ast.Call
    module: Module

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def cron(self) -> ast.expr | None:
        """Its schedule, as it is written."""
        for k in self.call.keywords:
            if k.arg == "cron":
                return k.value
        return None


@dataclass
class Task:
    """A handler as Procrastinate sees it. `registered` is the decorator or the call that makes it a
    task.
    """

    handler: Definition
    registered: Place | None = None
    owner: str = ""  # dotted name of the app or blueprint
    django: bool = False  # it belongs to procrastinate.contrib.django
    options: dict[str, ast.expr] = field(default_factory=dict)
    module: Module | None = None  # where the options stand
    unread: bool = False  # `**options` that cannot be read
    names: tuple[str, ...] = ()  # dotted names that mean the task object
    periodics: tuple[Periodic, ...] = ()

    def option(self, name: str) -> tuple[ast.expr, Module] | None:
        """The expression of an option; None where it is left to the default, or None itself."""
        node = self.options.get(name)
        if node is None or self.module is None or is_none(node):
            return None
        return node, self.module


def read_task(project: Project, use: FrameworkUse, handler: Definition) -> Task:
    """The options of a handler, from its decorators or from the call that registers it."""
    key = ("procrastinate.task", use.app, handler.path, handler.name)
    return project.remember(key, lambda: _read_found_task(project, use, handler))


def find_task(project: Project, use: FrameworkUse, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `app.task(...)(function)`
    returned.
    """

    def is_made(call: ast.Call, module: Module) -> bool:
        maker = app_method(project, use, _find_called(call.func), module)
        return maker is not None and maker[1] == "task"

    return find_made(project, import_path, is_made)


def names_of(project: Project, task: Task) -> tuple[str, ...]:
    """The names under which it may be deferred: the given one, else "module.function", and its
    aliases.
    """
    named = task.option("name")
    if named:
        given = project.literal(*named)
    else:
        given = task.handler.dotted
    aliases = task.option("aliases")
    names = [given]
    if aliases:
        more = project.literal(*aliases)
        if isinstance(more, list | tuple):
            names += more
    return tuple(str(name) for name in names)


def app_method(
    project: Project, use: FrameworkUse, node: ast.expr, module: Module
) -> tuple[str, str] | None:
    """(dotted name of the app or blueprint, method) of `app.task`, `blueprint.periodic`; else
    None.
    """
    name = module.resolve(node)
    owner, _, method = (name or "").rpartition(".")
    if not owner:
        return None
    origin = project.origin(name or "").rpartition(".")[0]
    known = (
        _MADE.fullmatch(origin)
        or DJANGO.fullmatch(origin)
        or DJANGO.fullmatch(project.origin(owner))
    )
    if known or _is_app(project, use, owner):
        return (owner, method)
    return None


def _is_app(project: Project, use: FrameworkUse, owner: str) -> bool:
    """One that detection found."""
    found = project.lookup(owner)
    if found is None or found.module is None or found.binding is None:
        return False
    return f"{found.module.path}:{found.dotted.rpartition('.')[2]}" in (use.apps or (use.app,))


def _find_called(node: ast.expr) -> ast.expr:
    """`app.task` of `app.task(...)`, and of itself."""
    if isinstance(node, ast.Call):
        return node.func
    return node


def _read_found_task(project: Project, use: FrameworkUse, handler: Definition) -> Task:
    task = Task(handler)
    for node in handler.decorators:
        if _registers_task(project, use, task, node, handler.module):
            task.names = (handler.dotted,)
    if task.registered is None and not handler.is_class:
        _from_call(project, use, task)
    return task


def _registers_task(
    project: Project, use: FrameworkUse, task: Task, node: ast.expr, module: Module
) -> bool:
    """Whether a decorator, or the function of a registering call, is the app's `task`; `periodic`
    is noted.
    """
    found = app_method(project, use, _find_called(node), module)
    if found is not None and found[1] == "periodic" and isinstance(node, ast.Call):
        task.periodics = (*task.periodics, Periodic(node, module))
    if found is None or found[1] != "task":
        return False
    task.registered, task.owner, task.module = place_of(module, node), found[0], module
    task.django = DJANGO.fullmatch(project.origin(found[0])) is not None
    if isinstance(node, ast.Call):
        task.options, task.unread = options_of(project, node, module)
    return True


def _from_call(project: Project, use: FrameworkUse, task: Task) -> None:
    """`send = app.task(retry=2)(_send)`: the name on the left is the task."""
    for seen in project.uses(task.handler.dotted):
        above = list(seen.module.parents(seen.node))[:2]
        call = None
        if above and isinstance(above[0], ast.Call) and seen.node in above[0].args[:1]:
            call = above[0]
        if call is None or not _registers_task(project, use, task, call.func, seen.module):
            continue
        if (
            len(above) > 1
            and isinstance(above[1], ast.Assign)
            and isinstance(above[1].targets[0], ast.Name)
        ):
            task.names = (*task.names, f"{seen.module.name}.{above[1].targets[0].id}")
