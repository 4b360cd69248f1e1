"""Who defers or schedules a task: `defer` and its kin on the task, by its name on the app,
`@app.periodic`.

Sources: procrastinate/tasks.py (`Task.defer`, `configure`), procrastinate/app.py
(`configure_task`), procrastinate/periodic.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.interface import FrameworkUse, Place, Send
from skillrun.frameworks.procrastinate.tasks import names_of, read_task
from skillrun.repo.python import Definition, Module, Project

DEFERS = ("defer", "defer_async")
BATCHES = ("batch_defer", "batch_defer_async")
_CONFIGURES = ("configure", "configure_task")


@dataclass(frozen=True)
class Site:
    """A call that defers the handler, and the `configure(...)` before it, where there is one."""

    module: Module
    call: ast.Call
    configured: ast.Call | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def method(self) -> str:
        """`defer`, `defer_async`, ..."""
        return self.call.func.attr if isinstance(self.call.func, ast.Attribute) else ""

    @property
    def how(self) -> str:
        """For a reader."""
        return f".{self.method}(...)"

    def option(self, name: str) -> ast.expr | None:
        """One of the options of `configure`."""
        keywords = self.configured.keywords if self.configured is not None else []
        return next((k.value for k in keywords if k.arg == name), None)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place, in order of path and line."""
    found: dict[tuple[str, int, str], Send] = {}
    for wiring in _all(project, use, handler):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, use: FrameworkUse, handler: Definition) -> Iterator[Send]:
    for periodic in read_task(project, use, handler).periodics:
        yield Send("schedule", periodic.place, "periodic(...)", in_tests(periodic.place.path))
    for site in find_sites(project, use, handler, tests=True):
        yield Send("enqueue", site.place, site.how, in_tests(site.module.path))
        if not in_tests(site.module.path):
            yield from _ticks(project, use, site)


def _ticks(project: Project, use: FrameworkUse, site: Site) -> Iterator[Send]:
    """The periodic tasks that come to a deferring call: its own function, or one that calls
    that.
    """
    around = site.module.function_of(site.call)
    own = project.define(site.module, around) if around is not None else None
    for function in (own, *_callers(project, own)) if own is not None else ():
        for periodic in read_task(project, use, function).periodics:
            yield Send(
                "schedule", periodic.place, f"periodic({function.name}) that defers it", False
            )


def _callers(project: Project, function: Definition) -> Iterator[Definition]:
    for seen in project.uses(function.dotted):
        caller, above = (
            seen.module.function_of(seen.node),
            next(seen.module.parents(seen.node), None),
        )
        if caller is not None and isinstance(above, ast.Call) and above.func is seen.node:
            yield project.define(seen.module, caller)


def find_sites(
    project: Project, use: FrameworkUse, handler: Definition, *, tests: bool = False
) -> tuple[Site, ...]:
    """The calls that defer the handler; those in tests on request."""
    key = ("procrastinate.sites", use.app, handler.dotted)
    found = project.remember(key, lambda: tuple(_find(project, use, handler)))
    return found if tests else tuple(site for site in found if not in_tests(site.module.path))


def _find(project: Project, use: FrameworkUse, handler: Definition) -> Iterator[Site]:
    task = read_task(project, use, handler)
    for name in task.names:
        for seen in project.uses(name):
            yield from _deferred(seen.module, seen.node)
    names = names_of(project, task)
    for module in project.modules_with("configure_task"):
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "configure_task"
            ):
                given = (
                    node.args[0]
                    if node.args
                    else next((k.value for k in node.keywords if k.arg == "name"), None)
                )
                value = project.literal(given, module) if given is not None else None
                if isinstance(value, str) and value.rpartition(":")[2] in names:
                    yield from _ended(module, node, node)


def _deferred(module: Module, node: ast.AST) -> Iterator[Site]:
    """`task.defer(...)` and `task.configure(...).defer(...)`, from the name of the task."""
    above = list(module.parents(node))[:2]
    if (
        len(above) < 2
        or not isinstance(above[0], ast.Attribute)
        or not isinstance(above[1], ast.Call)
    ):
        return
    attribute, call = above[0], above[1]
    if call.func is not attribute:
        return
    if attribute.attr in (*DEFERS, *BATCHES):
        yield Site(module, call)
    elif attribute.attr in _CONFIGURES:
        yield from _ended(module, call, call)


def _ended(module: Module, node: ast.Call, configured: ast.Call) -> Iterator[Site]:
    """What is called on a configured task; also by the variable that holds it."""
    above = list(module.parents(node))[:2]
    if (
        above
        and isinstance(above[0], ast.Attribute)
        and isinstance(above[1], ast.Call)
        and above[1].func is above[0]
    ):
        if above[0].attr in (*DEFERS, *BATCHES):
            yield Site(module, above[1], configured)
    elif above and isinstance(above[0], ast.Assign) and isinstance(above[0].targets[0], ast.Name):
        held, scope = above[0].targets[0].id, module.function_of(node) or module.tree
        for call in (n for n in ast.walk(scope) if isinstance(n, ast.Call)):
            func = call.func
            if (
                isinstance(func, ast.Attribute)
                and func.attr in (*DEFERS, *BATCHES)
                and _is_name(func.value, held)
            ):
                yield Site(module, call, configured)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
