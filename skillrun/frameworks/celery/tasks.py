"""What makes a function or class a Celery task, and the options that it then has.

Sources: celery/app/base.py (`task`, `register_task`, `_task_from_fun`, `gen_task_name`),
celery/app/task.py (class attributes, `from_config`, `annotate`: annotations from the configuration
win over what the decorator says).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.celery.config import (
    Config,
    app_module,
    is_app,
    place_of,
    read_config,
)
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_keyword, find_nodes, read_entries

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse, Place

_DECORATORS = frozenset(
    {
        "celery.shared_task",
        "celery.app.shared_task",
        "celery.task.task",
        "celery.task",
        "celery.decorators.task",
        "celery.task.periodic_task",
        "celery.decorators.periodic_task",
    }
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
        is_bound = self.handler.is_class or self.option("bind") is True
        if node is None or not is_bound:
            return None
        for parameter in (*node.args.posonlyargs, *node.args.args):
            return parameter.arg
        return None


def run_node(handler: Definition) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that runs: the handler itself, or the `run` method of a task class."""
    if not isinstance(handler.node, ast.ClassDef):
        return handler.node
    for node in handler.node.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "run":
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
    is_maker = is_task_decorator(project, use, _strip_call(call.func), module)
    if not is_maker and not _is_registering(project, use, call.func, module):
        return None
    if not call.args:
        return None
    name = module.resolve(_strip_call(call.args[0]))
    if not name:
        return None
    return project.definition(name)


def _strip_call(node: ast.expr) -> ast.expr:
    """`f` of `f` and of `f(...)`."""
    if isinstance(node, ast.Call):
        return node.func
    return node


def is_task_decorator(project: Project, use: FrameworkUse, node: ast.expr, module: Module) -> bool:
    """Whether it is `@shared_task` or `@app.task`, with or without arguments."""
    target = _strip_call(node)
    name = module.resolve(target)
    if name is None:
        # Where the app comes from cannot be told: its name has to do.
        if not isinstance(target, ast.Attribute) or target.attr != "task":
            return False
        return _is_named_like_app(target.value)
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
    """Whether it is `app.register_task` or `app.tasks.register`."""
    owner, _, method = (module.resolve(node) or "").rpartition(".")
    if method not in ("register_task", "register"):
        return False
    return is_app(project, use, owner.removesuffix(".tasks"))


def names_of(task: Task) -> tuple[str, ...]:
    """Names under which the task may be sent: the given one, else "module.function" as Celery makes
    it.
    """
    given = task.option("name")
    if isinstance(given, str):
        return (given,)
    return (task.handler.dotted,)


class _Reader:
    """Fills a `Task` from everything that gives it options."""

    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.use = use
        self.task = Task(handler, config=read_config(project, use))

    def read(self) -> Task:
        """The task. The order is Celery's of who wins: later ones overwrite."""
        self._read_config()
        if self.task.handler.is_class:
            self._read_classes(self.task.handler)
            self.task.registered = self._find_registration()
        else:
            self._read_decorators()
        self._read_annotations()
        return self.task

    def _read_config(self) -> None:
        for option, setting in _FROM_CONFIG.items():
            found = self.task.config.get(setting)
            if found is not None and found.value is not None:
                self.task.options[option] = Option(found.value, found.place)

    def _read_decorators(self) -> None:
        """Reads Celery's decorator, else a wrapper of the repository's, else a call elsewhere."""
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
        self._read_registering_call()

    def _note_registration(self, node: ast.expr, module: Module) -> None:
        """Reads the decorator that makes the task: its base class first, then its options."""
        self.task.registered = place_of(module, node)
        keywords, base = [], None
        if isinstance(node, ast.Call):
            keywords = node.keywords
            base = find_keyword(node, "base")
        base = base or self._find_app_base()
        if base is not None:
            self._read_base(base, module)
        for keyword in keywords:
            if keyword.arg is None:
                self._read_spread(keyword.value, module)
            elif keyword.arg != "base":
                self._set_option(keyword.arg, keyword.value, module)

    def _find_app_base(self) -> ast.expr | None:
        """The base of every task, as `Celery(task_cls=...)` gives it."""
        found = app_module(self.project, self.use)
        if not found:
            return None
        module, name = found
        bindings = module.bindings(module.tree).get(name, [])
        if not bindings or not isinstance(bindings[0].value, ast.Call):
            return None
        return find_keyword(bindings[0].value, "task_cls")

    def _read_base(self, base: ast.expr, module: Module) -> None:
        """Reads a base class by its name in the task's module, else in the app's."""
        modules = [module]
        app = app_module(self.project, self.use)
        if app:
            modules.append(app[0])
        for home in modules:
            name = home.resolve(base)
            if not name:
                continue
            definition = self.project.definition(name)
            if definition is not None and definition.is_class:
                self._read_classes(definition)
                return

    def _read_classes(self, definition: Definition) -> None:
        """Reads the options that a task class and its bases set, the farthest base first."""
        classes = []
        for name in self.project.ancestors(definition.dotted):
            found = self.project.definition(name)
            if found is not None and found.is_class:
                classes.append(found)
        self.task.classes = tuple(classes)
        for owner in reversed(classes):
            for name, bound in owner.module.bindings(owner.node).items():
                value = bound[-1].value
                if name in DEFAULTS and value is not None:
                    self._set_option(name, value, owner.module)

    def _read_spread(self, node: ast.expr, module: Module) -> None:
        """Reads `**options`: entry by entry where the dictionary stands somewhere, else by its
        value.
        """
        values = self.project.literal(node, module)
        found = self._find_dictionary(node, module)
        if found is not None:
            dictionary, home = found
            for key, value in read_entries(dictionary).items():
                self._set_option(str(key), value, home)
        elif isinstance(values, dict):
            for name, value in values.items():
                self.task.options[str(name)] = Option(value, place_of(module, node))
        else:
            self.task.unread.append(place_of(module, node))

    def _find_dictionary(self, node: ast.expr, module: Module) -> tuple[ast.Dict, Module] | None:
        """The dictionary that is written here, or held by a name, and the module
        where it stands.
        """
        if isinstance(node, ast.Dict):
            return node, module
        name = module.resolve(node)
        if not name:
            return None
        found = self.project.lookup(name)
        if found is None or found.module is None or found.binding is None:
            return None
        if isinstance(found.binding.value, ast.Dict):
            return found.binding.value, found.module
        return None

    def _set_option(self, name: str, node: ast.expr, module: Module) -> None:
        """Keeps what an expression says of an option."""
        value = self.project.literal(node, module)
        if value is None and name in _FROM_CONFIG:
            # None means: as configured.
            return
        self.task.options[name] = Option(value, place_of(module, node), node, module)

    def _is_wrapper(self, node: ast.expr, module: Module) -> bool:
        """Whether a decorator of the repository itself makes tasks."""
        name = module.resolve(_strip_call(node))
        if not name:
            return False
        definition = self.project.definition(name)
        if definition is None or definition.is_class:
            return False
        for call in find_nodes(definition.node, ast.Call):
            if is_task_decorator(self.project, self.use, call.func, definition.module):
                return True
        return False

    def _read_registering_call(self) -> None:
        """Reads `send = app.task(bind=True)(_send)`, and `send = app.task(_send)`."""
        for use in self.project.uses(self.task.handler.dotted):
            call = next(use.module.parents(use.node), None)
            if not isinstance(call, ast.Call) or use.node not in call.args[:1]:
                continue
            if not is_task_decorator(self.project, self.use, call.func, use.module):
                continue
            # The call that has the options.
            maker = call
            if isinstance(call.func, ast.Call):
                maker = call.func
            self._note_registration(maker, use.module)
            return

    def _find_registration(self) -> Place | None:
        """Where a class is registered: `app.register_task(SendReceipt())`, or without the inner
        call.
        """
        for use in self.project.uses(self.task.handler.dotted):
            for above in islice(use.module.parents(use.node), 2):
                if not isinstance(above, ast.Call):
                    continue
                if _is_registering(self.project, self.use, above.func, use.module):
                    return place_of(use.module, above)
        return None

    def _read_annotations(self) -> None:
        """Reads `task_annotations = {"shop.tasks.send": {...}, "*": {...}}`; entries for one task
        overwrite those for all.
        """
        setting = self.task.config.get("task_annotations")
        if setting is None:
            return
        if not isinstance(setting.value, dict):
            self.task.unread.append(setting.place)
            return
        for name in ("*", *names_of(self.task)):
            if name not in setting.value:
                continue
            values = setting.value[name]
            if not isinstance(values, dict):
                self.task.unread.append(setting.place)
                continue
            for option, value in values.items():
                if option in DEFAULTS:
                    self.task.options[option] = Option(value, setting.place)
