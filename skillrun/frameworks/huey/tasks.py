"""What makes a function a Huey task, and the options that it then has.

Sources: huey/api.py (`Huey.task`, `periodic_task`, `context_task`, `TaskWrapper`),
huey/contrib/djhuey.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.huey.apps import app_method
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_nodes, read_entries

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse, Place

KINDS = {
    "task": "task",
    "context_task": "context",
    "db_task": "task",
    "on_commit_task": "on_commit",
    "periodic_task": "periodic",
    "db_periodic_task": "periodic",
}
DEFAULTS: dict[str, Any] = {
    "retries": 0,
    "retry_delay": 0,
    "retry_backoff": 0,
    "priority": None,
    "context": False,
    "name": None,
    "expires": None,
    "timeout": None,
}


@dataclass(frozen=True)
class Option:
    """One option of a task: its value where that can be read, and where it is written."""

    value: Any
    place: Place


@dataclass
class Task:
    """A handler as Huey sees it. `registered` is the decorator or the call that makes it a task."""

    handler: Definition
    kind: str = ""  # task | context | periodic | on_commit
    registered: Place | None = None
    owner: str | None = None  # dotted name of the Huey object
    options: dict[str, Option] = field(default_factory=dict)
    # `**options`, own decorators: what cannot be read.
    unread: list[Place] = field(default_factory=list)
    bare: Place | None = None  # `@huey.task` without parentheses registers nothing
    schedule: ast.expr | None = None  # the first argument of periodic_task
    names: tuple[str, ...] = ()  # dotted names that mean the task: calling one enqueues
    wrapper: Definition | None = None  # the repository's decorator that makes the task
    below: tuple[ast.expr, ...] = ()  # decorators between the task and the function

    def option(self, name: str) -> Any:
        """The effective value; Huey's default where nothing sets it."""
        found = self.options.get(name)
        if found:
            return found.value
        return DEFAULTS.get(name)

    def place(self, name: str) -> Place | None:
        """Where an option is written; None for Huey's default."""
        found = self.options.get(name)
        if not found:
            return None
        return found.place


def read_task(project: Project, use: FrameworkUse, handler: Definition) -> Task:
    """The options of a handler, from its decorator or from the call that registers it."""
    key = ("huey.task", use.app, handler.path, handler.name)
    return project.remember(key, lambda: _Reader(project, use, handler).read())


def find_task(project: Project, use: FrameworkUse, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `huey.task(...)(function)`
    returned.
    """
    found = project.lookup(import_path)
    if found is None or found.definition is not None:
        if not found:
            return None
        return found.definition
    value = None
    if found.binding:
        value = found.binding.value
    if not isinstance(value, ast.Call) or found.module is None or not value.args:
        return None
    maker = _read_maker(project, use, value.func, found.module)
    name = None
    if maker:
        name = found.module.resolve(value.args[0])
    if not name:
        return None
    return project.definition(name)


def is_task(project: Project, use: FrameworkUse, definition: Definition) -> bool:
    """The function is a Huey task."""
    return not definition.is_class and read_task(project, use, definition).registered is not None


def _read_maker(
    project: Project, use: FrameworkUse, node: ast.expr, module: Module
) -> tuple[str, str, ast.Call] | None:
    """(kind, owner, call) of `huey.task(...)`; None for anything else, `huey.task` without a call
    included.
    """
    if not isinstance(node, ast.Call):
        return None
    found = app_method(project, use, node.func, module)
    if found and found[1] in KINDS:
        return (KINDS[found[1]], found[0], node)
    return None


class _Reader:
    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.use = use
        self.task = Task(handler)

    def read(self) -> Task:
        handler = self.task.handler
        if not handler.is_class:
            self._from_decorators(handler) or self._from_call(handler) or self._from_wrapper(
                handler
            )
        return self.task

    def _from_decorators(self, handler: Definition) -> bool:
        for number, node in enumerate(handler.decorators):
            maker = _read_maker(self.project, self.use, node, handler.module)
            if maker is not None:
                self._read_registered(maker, handler.module, node)
                self.task.names = (handler.dotted,)
                self.task.below = handler.decorators[number + 1 :]
                return True
            if isinstance(node, ast.Call):
                found = None
            else:
                found = app_method(self.project, self.use, node, handler.module)
            if found and found[1] in KINDS:
                self.task.bare = place_of(handler.module, node)
        return False

    def _from_call(self, handler: Definition) -> bool:
        """`send = huey.task(retries=2)(_send)`: the name on the left is the task."""
        for use in self.project.uses(handler.dotted):
            above = list(use.module.parents(use.node))[:2]
            call = None
            if above and isinstance(above[0], ast.Call) and use.node in above[0].args[:1]:
                call = above[0]
            maker = None
            if call:
                maker = _read_maker(self.project, self.use, call.func, use.module)
            if maker is None or call is None:
                continue
            self._read_registered(maker, use.module, call)
            if isinstance(above[1], ast.Assign) and isinstance(above[1].targets[0], ast.Name):
                self.task.names = (*self.task.names, f"{use.module.name}.{above[1].targets[0].id}")
        return self.task.registered is not None

    def _from_wrapper(self, handler: Definition) -> bool:
        """A decorator of the repository that itself makes tasks; what it passes on is read, the
        rest is not.
        """
        for number, node in enumerate(handler.decorators):
            name = handler.module.resolve(node.func if isinstance(node, ast.Call) else node)
            own = None
            if name:
                own = self.project.definition(name)
            if own and not own.is_class:
                calls = []
                for n in find_nodes(own.node, ast.Call):
                    calls.append(n)
            else:
                calls = []
            maker = next(
                (
                    m
                    for c in calls
                    if own and (m := _read_maker(self.project, self.use, c, own.module))
                ),
                None,
            )
            if own is None or maker is None:
                continue
            self._read_registered(
                maker, own.module, maker[2], _bind_arguments(own, node, handler.module)
            )
            self.task.registered = place_of(handler.module, node)
            self.task.unread.append(self.task.registered)
            self.task.wrapper = own
            self.task.names, self.task.below = (handler.dotted,), handler.decorators[number + 1 :]
            return True
        return False

    def _read_registered(
        self,
        maker: tuple[str, str, ast.Call],
        module: Module,
        node: ast.AST,
        given: dict[str, tuple[ast.expr, Module]] | None = None,
    ) -> None:
        self.task.kind, self.task.owner, call = maker
        self.task.registered = place_of(module, node)
        positional = []
        if self.task.kind != "context":
            positional = [*call.args]
        if self.task.kind == "periodic":
            if positional:
                self.task.schedule = positional.pop(0)
            else:
                self.task.schedule = _find_keyword(call, "validate_datetime")
        written = [*zip(DEFAULTS, positional, strict=False)]
        for name, value in (*written, *_list_keywords(self, call, module)):
            word = ""
            if isinstance(value, ast.Name):
                word = value.id
            inner, held = (given or {}).get(word, (value, module))
            self.task.options[name] = Option(
                self.project.literal(inner, held), place_of(held, inner)
            )


def _list_keywords(
    reader: _Reader, call: ast.Call, module: Module
) -> Iterator[tuple[str, ast.expr]]:
    """Keyword arguments, those of `**OPTIONS` included where its dict can be read."""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
            continue
        name = module.resolve(keyword.value)
        found = None
        if name:
            found = reader.project.lookup(name)
        if found and found.binding:
            held = found.binding.value
        else:
            held = keyword.value
        if not isinstance(held, ast.Dict) or (found and found.module is not module):
            reader.task.unread.append(place_of(module, keyword.value))
            continue
        for key, value in read_entries(held).items():
            yield str(key), value


def _find_keyword(call: ast.Call, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return None


def _bind_arguments(
    own: Definition, node: ast.expr, module: Module
) -> dict[str, tuple[ast.expr, Module]]:
    """Parameter of the repository's decorator -> what it was given, else its default."""
    assert not isinstance(own.node, ast.ClassDef)
    args = own.node.args
    positional = [*args.posonlyargs, *args.args]
    found = {
        a.arg: (d, own.module)
        for a, d in zip(reversed(positional), reversed(args.defaults), strict=False)
    } | {
        a.arg: (d, own.module)
        for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
        if d is not None
    }
    if isinstance(node, ast.Call):
        found |= {a.arg: (value, module) for a, value in zip(positional, node.args, strict=False)}
        found |= {k.arg: (k.value, module) for k in node.keywords if k.arg}
    return found
