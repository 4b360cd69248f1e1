"""What makes a function or class a Celery task, and the options that it then has.

Sources: celery/app/base.py (`task`, `register_task`, `_task_from_fun`, `gen_task_name`),
celery/app/task.py (class attributes, `from_config`, `annotate`: annotations from the configuration
win over what the decorator says).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.celery.config import (
    Config,
    Setting,
    app_module,
    is_app,
    place_of,
    read_config,
)
from skillrun.repo.python import UNKNOWN, Definition, Module, Project, is_known
from skillrun.repo.syntax import find_nodes, read_entries

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse, Place

_DECORATORS = frozenset(
    {
        "celery.shared_task",
        "celery.app.shared_task",
        "celery.task.task",
        "celery.task",
        "celery.decorators.task",
    }
    | {"celery.task.periodic_task", "celery.decorators.periodic_task"}
)
_OTHER_LIBRARIES = (
    "huey",
    "dramatiq",
    "procrastinate",
    "taskiq",
    "rq",
    "arq",
    "prefect",
    "airflow",
    "invoke",
    "luigi",
)
_FROM_CONFIG = {  # celery/app/task.py: Task.from_config
    "serializer": "task_serializer",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "acks_late": "task_acks_late",
    "reject_on_worker_lost": "task_reject_on_worker_lost",
    "retry_on_worker_lost": "task_retry_on_worker_lost",
    "acks_on_failure_or_timeout": "task_acks_on_failure_or_timeout",
}
DEFAULTS: dict[str, Any] = {
    "max_retries": 3,
    "default_retry_delay": 180,
    "autoretry_for": (),
    "dont_autoretry_for": (),
    "retry_kwargs": {},
    "retry_backoff": False,
    "retry_backoff_max": 600,
    "retry_jitter": True,
    "acks_late": False,
    "reject_on_worker_lost": False,
    "retry_on_worker_lost": False,
    "acks_on_failure_or_timeout": True,
    "serializer": "json",
    "time_limit": None,
    "soft_time_limit": None,
    "bind": False,
    "name": None,
}


@dataclass(frozen=True)
class Option:
    """One option of a task: its expression where it is written, its value where that can be
    read.
    """

    value: Any
    place: Place
    node: ast.expr | None = None
    module: Module | None = None


@dataclass
class Task:
    """A handler as Celery sees it. `registered` is the decorator or the call that makes it a
    task.
    """

    handler: Definition
    registered: Place | None = None
    options: dict[str, Option] = field(default_factory=dict)
    unread: list[Place] = field(default_factory=list)  # `**options` that cannot be read
    # The repository's task classes behind it, the nearest first.
    classes: tuple[Definition, ...] = ()
    config: Config = field(default_factory=Config)

    def option(self, name: str) -> Any:
        """The effective value; Celery's default where nothing sets it."""
        found = self.options.get(name)
        if found:
            return found.value
        return DEFAULTS.get(name)

    def place(self, name: str) -> Place | None:
        """Where an option is written; None for Celery's default."""
        found = self.options.get(name)
        if not found:
            return None
        return found.place

    @property
    def self_name(self) -> str | None:
        """The parameter that holds the task itself; None where there is none."""
        node = run_node(self.handler)
        bound = self.handler.is_class or self.option("bind") is True
        if node is not None:
            first = [*node.args.posonlyargs, *node.args.args][:1]
        else:
            first = []
        if bound and first:
            return first[0].arg
        return None


def run_node(handler: Definition) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that runs: the handler itself, or the `run` method of a task class."""
    if not isinstance(handler.node, ast.ClassDef):
        return handler.node
    methods = (
        n for n in handler.node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for node in methods:
        if node.name == "run":
            return node
    return None


def read_task(project: Project, use: FrameworkUse, handler: Definition) -> Task:
    """The options of a handler, from its decorator, its base classes, and the configuration."""
    key = ("celery.task", use.app, handler.path, handler.name)
    return project.remember(key, lambda: _Reader(project, use, handler).read())


def find_task(project: Project, use: FrameworkUse, import_path: str) -> Definition | None:
    """The function or class behind "module:object"; also where the object is what registering it
    returned.
    """
    found = project.lookup(import_path)
    if found is None:
        return None
    if found.definition is not None:
        return found.definition
    value = None
    if found.binding:
        value = found.binding.value
    if isinstance(value, ast.Call) and found.module is not None:
        return _registered_argument(project, use, value, found.module)
    return None


def _registered_argument(
    project: Project, use: FrameworkUse, call: ast.Call, module: Module
) -> Definition | None:
    """The function in `app.task(f)` and `shared_task(bind=True)(f)`, the class in
    `app.register_task(C())`.
    """
    if isinstance(call.func, ast.Call):
        maker = call.func.func
    else:
        maker = call.func
    is_maker = is_task_decorator(project, use, maker, module) or _is_registering(
        project, use, call.func, module
    )
    argument = None
    if is_maker and call.args:
        argument = call.args[0]
    inner = argument.func if isinstance(argument, ast.Call) else argument
    name = None
    if inner is not None:
        name = module.resolve(inner)
    if not name:
        return None
    return project.definition(name)


def is_task_decorator(project: Project, use: FrameworkUse, node: ast.expr, module: Module) -> bool:
    """`@shared_task`, `@app.task`, with or without arguments."""
    if isinstance(node, ast.Call):
        target = node.func
    else:
        target = node
    name = module.resolve(target)
    if name is None:
        return (
            isinstance(target, ast.Attribute)
            and target.attr == "task"
            and _is_named_like_app(target.value)
        )
    origin = project.origin(name)
    if origin in _DECORATORS:
        return True
    owner, _, last = name.rpartition(".")
    if last not in ("task", "periodic_task") or origin.startswith(_OTHER_LIBRARIES):
        return False
    return is_app(project, use, owner)


def _is_named_like_app(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("app", "celery", "celery_app", "capp")


def _is_registering(project: Project, use: FrameworkUse, node: ast.expr, module: Module) -> bool:
    name = module.resolve(node) or ""
    owner, _, last = name.rpartition(".")
    return last in ("register_task", "register") and is_app(
        project, use, owner.removesuffix(".tasks")
    )


def names_of(task: Task) -> tuple[str, ...]:
    """Names under which the task may be sent: the given one, else "module.function" as Celery makes
    it.
    """
    given = task.option("name")
    if isinstance(given, str):
        return (given,)
    return (task.handler.dotted,)


class _Reader:
    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.use = use
        self.task = Task(handler, config=read_config(project, use))

    def read(self) -> Task:
        self._from_config()
        if self.task.handler.is_class:
            self._from_classes(self.task.handler)
            self.task.registered = self._find_registration()
        else:
            self._from_decorators()
        self._from_annotations()
        return self.task

    def _from_config(self) -> None:
        for option, setting in _FROM_CONFIG.items():
            found = self.task.config.get(setting)
            if found is not None and found.value is not None:
                self.task.options[option] = Option(found.value, found.place)

    def _from_decorators(self) -> None:
        handler = self.task.handler
        for node in handler.decorators:
            if is_task_decorator(self.project, self.use, node, handler.module):
                self._note_registration(node, handler.module)
                return
        for node in handler.decorators:
            if self._is_wrapper(node, handler.module):
                self.task.registered = place_of(handler.module, node)
                self.task.unread.append(self.task.registered)
                return
        self._from_call()

    def _note_registration(self, node: ast.expr, module: Module) -> None:
        self.task.registered = place_of(module, node)
        keywords = []
        if isinstance(node, ast.Call):
            keywords = node.keywords
        base = next((k.value for k in keywords if k.arg == "base"), None) or self._app_base()
        if base is not None:
            self._from_base(base, module)
        for keyword in keywords:
            if keyword.arg is None:
                self._take_spread(keyword.value, module)
            elif keyword.arg != "base":
                self._set_option(keyword.arg, keyword.value, module)

    def _app_base(self) -> ast.expr | None:
        """`Celery(task_cls=...)`: the base of every task; read only where it names a class of the
        same module.
        """
        found = app_module(self.project, self.use)
        bound = []
        if found:
            bound = found[0].bindings(found[0].tree).get(found[1], [])
        value = None
        if bound:
            value = bound[0].value
        keywords = []
        if isinstance(value, ast.Call):
            keywords = value.keywords
        for k in keywords:
            if k.arg == "task_cls":
                return k.value
        return None

    def _from_base(self, base: ast.expr, module: Module) -> None:
        for holder in (
            module,
            *(found[0] for found in [app_module(self.project, self.use)] if found),
        ):
            name = holder.resolve(base)
            definition = None
            if name:
                definition = self.project.definition(name)
            if definition is not None and definition.is_class:
                self._from_classes(definition)
                return

    def _from_classes(self, definition: Definition) -> None:
        ancestors = self.project.ancestors(definition.dotted)
        classes = [
            found
            for name in ancestors
            if (found := self.project.definition(name)) and found.is_class
        ]
        self.task.classes = tuple(classes)
        for owner in reversed(classes):
            for name, bound in owner.module.bindings(owner.node).items():
                value = bound[-1].value
                if name in DEFAULTS and value is not None:
                    self._set_option(name, value, owner.module)

    def _take_spread(self, node: ast.expr, module: Module) -> None:
        """`**options`."""
        values = self.project.literal(node, module)
        found = self._dict_node(node, module)
        if not isinstance(values, dict) and found is None:
            self.task.unread.append(place_of(module, node))
            return
        if found is not None:
            inner, holder = found
            for key, value in read_entries(inner).items():
                self._set_option(str(key), value, holder)
            return
        for name, value in values.items():
            self.task.options[str(name)] = Option(value, place_of(module, node))

    def _dict_node(self, node: ast.expr, module: Module) -> tuple[ast.Dict, Module] | None:
        if isinstance(node, ast.Dict):
            return node, module
        name = module.resolve(node)
        found = None
        if name:
            found = self.project.lookup(name)
        value = None
        if found and found.binding:
            value = found.binding.value
        if found and found.module and isinstance(value, ast.Dict):
            return (value, found.module)
        return None

    def _set_option(self, name: str, node: ast.expr, module: Module) -> None:
        value = self.project.literal(node, module)
        if value is None and name in _FROM_CONFIG:
            # None means: as configured.
            return
        self.task.options[name] = Option(value, place_of(module, node), node, module)

    def _is_wrapper(self, node: ast.expr, module: Module) -> bool:
        """A decorator of the repository that itself makes tasks."""
        name = module.resolve(node.func if isinstance(node, ast.Call) else node)
        definition = None
        if name:
            definition = self.project.definition(name)
        if definition is None or definition.is_class:
            return False
        calls = find_nodes(definition.node, ast.Call)
        return any(
            is_task_decorator(self.project, self.use, call.func, definition.module)
            for call in calls
        )

    def _from_call(self) -> None:
        """`send = app.task(bind=True)(_send)`."""
        for use in self.project.uses(self.task.handler.dotted):
            above = next(use.module.parents(use.node), None)
            if not isinstance(above, ast.Call) or use.node not in above.args[:1]:
                continue
            maker = above.func
            if is_task_decorator(self.project, self.use, maker, use.module):
                self._note_registration(maker if isinstance(maker, ast.Call) else above, use.module)
                return

    def _find_registration(self) -> Place | None:
        """`app.register_task(SendReceipt())`."""
        name = self.task.handler.dotted
        for use in self.project.uses(name):
            for above in list(use.module.parents(use.node))[:2]:
                if isinstance(above, ast.Call) and _is_registering(
                    self.project, self.use, above.func, use.module
                ):
                    return place_of(use.module, above)
        return None

    def _from_annotations(self) -> None:
        """`task_annotations = {"shop.tasks.send": {...}, "*": {...}}`; entries for one task follow
        those for all.
        """
        setting = self.task.config.get("task_annotations")
        if setting is None:
            return
        if not isinstance(setting.value, dict):
            self.task.unread.append(setting.place)
            return
        for name, values in _list_annotations(setting, names_of(self.task)):
            if not isinstance(values, dict):
                self.task.unread.append(setting.place)
                continue
            for option, value in values.items():
                if option in DEFAULTS:
                    self.task.options[option] = Option(value, setting.place)
            assert name


def _list_annotations(setting: Setting, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in ("*", *names):
        if name in setting.value:
            yield name, setting.value[name] if is_known(setting.value[name]) else UNKNOWN
