"""What makes a function a task, the labels that it has, and the calls that kick it.

Sources: taskiq/abc/broker.py (`task`, `register_task`), taskiq/decor.py (`kiq`, `kicker`),
taskiq/kicker.py (`with_labels` goes over the decorator's labels).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import in_tests, options_of, place_of
from skillrun.frameworks.interface import Place
from skillrun.frameworks.taskiq.brokers import Broker, brokers_of
from skillrun.repo.python import UNKNOWN, Definition, Module, Project

MAKERS = ("task", "register_task")
KICKS = {
    "kiq": "enqueue",
    "schedule_by_time": "enqueue",
    "schedule_by_cron": "schedule",
    "schedule_by_interval": "schedule",
}
_SOURCES = {
    "schedule_by_time": 2,
    "schedule_by_cron": 2,
    "schedule_by_interval": 2,
}  # arguments that are not the task's
_NOT_LABELS = ("task_name", "func")
Found = tuple[ast.expr, Module]


@dataclass(frozen=True)
class Site:
    """A call that kicks or schedules the task. `labels` are those of
    `.kicker().with_labels(...)`.
    """

    call: ast.Call
    module: Module
    method: str
    labels: dict[str, Found] = field(default_factory=dict)
    task_id: ast.expr | None = None  # of `with_task_id`

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def in_tests(self) -> bool:
        """It is only a test's."""
        return in_tests(self.module.path)

    @property
    def given(self) -> list[ast.expr]:
        """The positional arguments that are the task's own."""
        return self.call.args[_SOURCES.get(self.method, 0) :]


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
    found = project.lookup(import_path)
    if found is None or found.definition is not None:
        return found.definition if found and not found.definition.is_class else None  # type: ignore[union-attr]
    value = found.binding.value if found.binding else None
    if (
        not isinstance(value, ast.Call)
        or found.module is None
        or not value.args
        or not _is_maker(value)
    ):
        return None
    name = found.module.resolve(value.args[0])
    return project.definition(name) if name else None


def read_task(project: Project, handler: Definition) -> Task:
    """The task behind a handler."""
    return project.remember(("taskiq.task", handler.dotted), lambda: _read(project, handler))


def label(project: Project, task: Task, name: str, default: Any = None) -> tuple[Any, Place | None]:
    """(value, place) of a label: a sender's where one says it, else the task's own; an `Unknown`
    where it is unread.
    """
    for site in real_sites(project, task.handler):
        if name in site.labels:
            return _value(project, site.labels[name])
    if name in task.labels:
        return _value(project, task.labels[name])
    return (UNKNOWN, task.registered) if task.unread else (default, None)


def _value(project: Project, found: Found) -> tuple[Any, Place]:
    return project.literal(*found), place_of(found[1], found[0])


def _read(project: Project, handler: Definition) -> Task:
    task = Task(handler)
    for node in handler.decorators:
        if _made(project, task, node, handler.module):
            return task
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        given = (
            isinstance(above, ast.Call)
            and use.node in above.args
            and not in_tests(use.path)
            and _is_maker(above)
        )
        if (
            isinstance(above, ast.Call)
            and given
            and _made(project, task, _maker(above), use.module)
        ):
            return task
    return task


def _is_maker(call: ast.Call) -> bool:
    """`broker.register_task(f, ...)`, `broker.task(f)` or `broker.task(...)(f)`."""
    node = _maker(call)
    func = node.func if isinstance(node, ast.Call) else node
    return isinstance(func, ast.Attribute) and func.attr in MAKERS


def _maker(call: ast.Call) -> ast.expr:
    return call.func if isinstance(call.func, ast.Call) else call


def _made(project: Project, task: Task, node: ast.expr, module: Module) -> bool:
    func = node.func if isinstance(node, ast.Call) else node
    if not isinstance(func, ast.Attribute) or func.attr not in MAKERS:
        return False
    brokers = brokers_of(project, func.value, module)
    named = "broker" in ast.unparse(func.value).lower()  # one that is made out of sight
    if (
        not brokers
        and not named
        and not project.origin(module.resolve(func) or "").startswith("taskiq")
    ):
        return False
    options, task.unread = (
        options_of(project, node, module) if isinstance(node, ast.Call) else ({}, False)
    )
    task.labels = {
        name: (value, module) for name, value in options.items() if name not in _NOT_LABELS
    }
    task.registered, task.brokers = place_of(module, node), brokers
    return True


def find_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """The calls that kick or schedule the handler, in order of path and line; those in tests
    too.
    """
    return project.remember(
        ("taskiq.sites", handler.dotted), lambda: tuple(_sites(project, handler))
    )


def real_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """Those outside the tests."""
    return tuple(site for site in find_sites(project, handler) if not site.in_tests)


def _sites(project: Project, handler: Definition) -> Iterator[Site]:
    found = [
        site
        for name in _names(project, handler)
        for use in project.uses(name)
        if (site := _site(use.module, use.node)) is not None
    ]
    yield from sorted(found, key=lambda site: (site.module.path, site.call.lineno))


def _names(project: Project, handler: Definition) -> tuple[str, ...]:
    """The function, and variables that hold the task that a call made of it."""
    found = [handler.dotted]
    for use in project.uses(handler.dotted):
        above = list(use.module.parents(use.node))[:3]
        made = isinstance(above[0], ast.Call) and _is_maker(above[0]) if above else False
        for one in above if made else ():
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                found.append(f"{use.module.name}.{one.targets[0].id}")
    return tuple(dict.fromkeys(found))


def _site(module: Module, node: ast.AST) -> Site | None:
    """`send.kiq(...)`, `send.kicker().with_labels(...).kiq(...)`; also over the lines of a
    builder's variable: no.
    """
    labels: dict[str, Found] = {}
    task_id: ast.expr | None = None
    above = list(module.parents(node))
    while len(above) > 1 and isinstance(above[0], ast.Attribute) and isinstance(above[1], ast.Call):
        word, call = above[0].attr, above[1]
        if call.func is not above[0]:
            return None
        if word in KICKS:
            return Site(call, module, word, labels, task_id)
        if word == "with_labels":
            labels |= {
                keyword.arg: (keyword.value, module) for keyword in call.keywords if keyword.arg
            }
        elif word == "with_task_id":
            task_id = call.args[0] if call.args else next((k.value for k in call.keywords), None)
        above = above[2:]
    return None
