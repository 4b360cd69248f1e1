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
from skillrun.repo.syntax import find_keyword, find_nodes, read_entries

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
    if found is None:
        return None
    if found.definition is not None:
        return found.definition
    if found.binding is None or found.module is None:
        return None
    value = found.binding.value
    if not isinstance(value, ast.Call) or not value.args:
        return None
    if _read_maker(project, use, value.func, found.module) is None:
        return None
    name = found.module.resolve(value.args[0])
    if not name:
        return None
    return project.definition(name)


def is_task(project: Project, use: FrameworkUse, definition: Definition) -> bool:
    """Whether a function is a Huey task."""
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
    if found is None:
        return None
    owner, method = found
    if method not in KINDS:
        return None
    return KINDS[method], owner, node


class _Reader:
    """Fills a `Task` from the first place that makes the handler one."""

    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.use = use
        self.task = Task(handler)

    def read(self) -> Task:
        """The task; without `registered` where nothing makes the handler one."""
        handler = self.task.handler
        if handler.is_class:
            return self.task
        for read in (self._read_decorators, self._read_calls, self._read_wrappers):
            if read(handler):
                break
        return self.task

    def _read_decorators(self, handler: Definition) -> bool:
        """Reads `@huey.task(retries=2)`; False where no decorator is one."""
        for number, node in enumerate(handler.decorators):
            maker = _read_maker(self.project, self.use, node, handler.module)
            if maker is not None:
                self._read_registered(maker, handler.module, node)
                self.task.names = (handler.dotted,)
                self.task.below = handler.decorators[number + 1 :]
                return True
            # Without a call it is none, and nobody notices.
            if not isinstance(node, ast.Call):
                found = app_method(self.project, self.use, node, handler.module)
                if found and found[1] in KINDS:
                    self.task.bare = place_of(handler.module, node)
        return False

    def _read_calls(self, handler: Definition) -> bool:
        """Reads `send = huey.task(retries=2)(_send)`, where the name on the left is the task; False
        where nothing registers the handler so.
        """
        for use in self.project.uses(handler.dotted):
            call, *above = use.module.parents(use.node)
            # The handler is to be the first argument.
            if not isinstance(call, ast.Call) or use.node not in call.args[:1]:
                continue
            maker = _read_maker(self.project, self.use, call.func, use.module)
            if maker is None:
                continue
            self._read_registered(maker, use.module, call)
            statement = above[0]
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = f"{use.module.name}.{statement.targets[0].id}"
                self.task.names = (*self.task.names, name)
        return self.task.registered is not None

    def _read_wrappers(self, handler: Definition) -> bool:
        """Reads a decorator of the repository that itself makes tasks; False where none does. What
        it passes on is read, the rest is not.
        """
        for number, node in enumerate(handler.decorators):
            wrapper = self._find_wrapper(handler, node)
            if wrapper is None:
                continue
            maker = self._find_maker_in(wrapper)
            if maker is None:
                continue
            passed = _bind_arguments(wrapper, node, handler.module)
            self._read_registered(maker, wrapper.module, maker[2], passed)
            self.task.registered = place_of(handler.module, node)
            self.task.unread.append(self.task.registered)
            self.task.wrapper = wrapper
            self.task.names, self.task.below = (handler.dotted,), handler.decorators[number + 1 :]
            return True
        return False

    def _find_wrapper(self, handler: Definition, decorator: ast.expr) -> Definition | None:
        """The function of the repository that a decorator is, or that makes it."""
        named = decorator
        if isinstance(decorator, ast.Call):
            named = decorator.func
        name = handler.module.resolve(named)
        if not name:
            return None
        found = self.project.definition(name)
        if found is None or found.is_class:
            return None
        return found

    def _find_maker_in(self, wrapper: Definition) -> tuple[str, str, ast.Call] | None:
        """The first `huey.task(...)` in a function."""
        for call in find_nodes(wrapper.node, ast.Call):
            maker = _read_maker(self.project, self.use, call, wrapper.module)
            if maker:
                return maker
        return None

    def _read_registered(
        self,
        maker: tuple[str, str, ast.Call],
        module: Module,
        node: ast.AST,
        passed: dict[str, tuple[ast.expr, Module]] | None = None,
    ) -> None:
        """Fills the task with what `huey.task(...)` says; `passed` are the arguments of a decorator
        around it, by their parameters.
        """
        self.task.kind, self.task.owner, call = maker
        self.task.registered = place_of(module, node)
        positional = []
        # `context_task(obj, as_argument)`: its positional arguments are no options.
        if self.task.kind != "context":
            positional = list(call.args)
        if self.task.kind == "periodic":
            if positional:
                self.task.schedule = positional.pop(0)
            else:
                self.task.schedule = find_keyword(call, "validate_datetime")
        by_position = zip(DEFAULTS, positional, strict=False)
        for name, value in (*by_position, *_list_keywords(self, call, module)):
            written, home = value, module
            if passed and isinstance(value, ast.Name):
                written, home = passed.get(value.id, (value, module))
            option = Option(self.project.literal(written, home), place_of(home, written))
            self.task.options[name] = option


def _list_keywords(
    reader: _Reader, call: ast.Call, module: Module
) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of each keyword argument, those of `**OPTIONS` included where its dictionary
    stands in the same module.
    """
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
            continue
        name = module.resolve(keyword.value)
        found = None
        if name:
            found = reader.project.lookup(name)
        options: ast.expr | None = keyword.value
        if found and found.binding:
            options = found.binding.value
        is_elsewhere = found is not None and found.module is not module
        if is_elsewhere or not isinstance(options, ast.Dict):
            reader.task.unread.append(place_of(module, keyword.value))
            continue
        for key, value in read_entries(options).items():
            yield str(key), value


def _bind_arguments(
    decorator: Definition, node: ast.expr, module: Module
) -> dict[str, tuple[ast.expr, Module]]:
    """Parameter of the repository's decorator -> what it was given, else its default."""
    assert not isinstance(decorator.node, ast.ClassDef)
    args = decorator.node.args
    positional = [*args.posonlyargs, *args.args]
    # Defaults are those of the last parameters.
    bound = {}
    for parameter, default in zip(reversed(positional), reversed(args.defaults), strict=False):
        bound[parameter.arg] = (default, decorator.module)
    for parameter, optional in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if optional is not None:
            bound[parameter.arg] = (optional, decorator.module)
    if isinstance(node, ast.Call):
        for parameter, value in zip(positional, node.args, strict=False):
            bound[parameter.arg] = (value, module)
        for keyword in node.keywords:
            if keyword.arg:
                bound[keyword.arg] = (keyword.value, module)
    return bound
