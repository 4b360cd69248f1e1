"""What makes a function a task, and the calls that enqueue it.

Sources: django/tasks/base.py and django_tasks/base.py (`task`, `Task.using`, `enqueue`,
`aenqueue`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import in_tests, options_of, place_of
from skillrun.frameworks.interface import Place
from skillrun.repo.python import Definition, Module, Project

MAKERS = tuple(
    f"{module}.task"
    for module in ("django.tasks", "django.tasks.base", "django_tasks", "django_tasks.base")
)
ENQUEUES = ("enqueue", "aenqueue")
_HELD = ("context.task_result.task",)  # the running task's own


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


@dataclass(frozen=True)
class Site:
    """A call that enqueues a task: `.enqueue(...)`, or what is handed on to be called:
    `partial(x.enqueue, 1)`.
    """

    module: Module
    node: ast.expr  # the attribute `.enqueue`
    call: ast.Call | None  # None: it is handed on as a value
    using: ast.Call | None = None  # the `.using(...)` before it

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.node)

    @property
    def how(self) -> str:
        """For a reader."""
        return f".{getattr(self.node, 'attr', 'enqueue')}(...)"

    def option(self, name: str) -> ast.expr | None:
        """What `using` is given."""
        keywords = self.using.keywords if self.using is not None else []
        return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def find_task(project: Project, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `task(...)(function)`
    returned.
    """
    found = project.lookup(import_path)
    if found is None or found.definition is not None:
        return (
            None
            if found is None or found.definition is None or found.definition.is_class
            else found.definition
        )
    value = found.binding.value if found.binding else None
    if found.module is None or not isinstance(value, ast.Call) or not value.args:
        return None
    made = _maker(project, value.func, found.module) or _maker(project, value, found.module)
    name = found.module.resolve(value.args[0]) if made is not None else None
    return project.definition(name) if name else None


def read_task(project: Project, handler: Definition) -> Task:
    """The options of a handler, from its decorator or from the call that makes it a task."""
    return project.remember(("django-tasks.task", handler.dotted), lambda: _read(project, handler))


def _read(project: Project, handler: Definition) -> Task:
    for node in handler.decorators:
        made = _maker(project, node, handler.module)
        if made is not None:
            return Task(handler, place_of(handler.module, node), made, handler.dotted)
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if not isinstance(above, ast.Call) or use.node not in above.args:
            continue
        made = _maker(project, above.func, use.module) or _maker(project, above, use.module)
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


def _maker(project: Project, node: ast.expr, module: Module) -> dict[str, ast.expr] | None:
    """The options of `task` or `task(...)`; None for anything else, the backend's own decorators
    included.
    """
    call = node if isinstance(node, ast.Call) else None
    if project.origin(module.resolve(call.func if call else node) or "") not in MAKERS:
        return None
    return options_of(project, call, module)[0] if call else {}


def find_sites(project: Project, task: Task, *, tests: bool = False) -> tuple[Site, ...]:
    """Everything that enqueues the task, its own retries included; what stands in tests on
    request.
    """
    key = ("django-tasks.sites", task.handler.dotted)
    found = project.remember(key, lambda: tuple(_sites(project, task)))
    return found if tests else tuple(site for site in found if not in_tests(site.module.path))


def other_sites(project: Project, task: Task) -> tuple[Site, ...]:
    """Those outside of tests by which somebody else enqueues it."""
    return tuple(site for site in find_sites(project, task) if not is_own(project, task, site))


def is_own(project: Project, task: Task, site: Site) -> bool:
    """It stands in the handler itself, in what that calls, or in a decorator of it."""
    from skillrun.frameworks.common.again import bodies

    parts = [part.node for part in bodies(project, task.handler)]
    return any(above in parts for above in site.module.parents(site.node))


def _sites(project: Project, task: Task) -> Iterator[Site]:
    for use in project.uses(task.name or task.handler.dotted):
        site = site_at(use.module, use.node)
        if site is not None:
            yield site
    for part in _with_context(project, task):
        for node in ast.walk(part.node):
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(_HELD):
                site = site_at(part.module, node)
                if site is not None:
                    yield site


def _with_context(project: Project, task: Task) -> tuple[Definition, ...]:
    """The bodies in which `context` may be the running task's."""
    from skillrun.frameworks.common.again import bodies

    return bodies(project, task.handler) if "takes_context" in task.options else ()


def site_at(module: Module, node: ast.expr) -> Site | None:
    """What enqueues the task that an expression means, if anything: through `.using(...)`, also
    held by a variable.
    """
    above = next(module.parents(node), None)
    using = None
    if isinstance(above, ast.Attribute) and above.attr == "using":
        using = next(module.parents(above), None)
        above = next(module.parents(using), None) if isinstance(using, ast.Call) else None
    if isinstance(above, ast.Assign) and isinstance(using, ast.Call):
        above = _later(module, above)
    if not isinstance(above, ast.Attribute) or above.attr not in ENQUEUES:
        return None
    call = next(module.parents(above), None)
    is_called = isinstance(call, ast.Call) and call.func is above
    return Site(
        module, above, call if is_called and isinstance(call, ast.Call) else None, _call(using)
    )


def _call(node: ast.AST | None) -> ast.Call | None:
    return node if isinstance(node, ast.Call) else None


def _later(module: Module, assigned: ast.Assign) -> ast.Attribute | None:
    """`later = task.using(...)`, then `later.enqueue(...)` in the same function."""
    name = assigned.targets[0].id if isinstance(assigned.targets[0], ast.Name) else ""
    scope = module.function_of(assigned) or module.tree
    for node in ast.walk(scope):
        sends = isinstance(node, ast.Attribute) and node.attr in ENQUEUES
        if sends and isinstance(node, ast.Attribute) and ast.unparse(node.value) == name:
            return node
    return None
