"""Who enqueues or schedules an arq job: `enqueue_job` with its name, `cron(...)`.

Sources: arq/connections.py (`enqueue_job`), arq/worker.py (`run_cron`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.interface import Place, Wiring
from skillrun.repo.python import Definition, Module, Project

OWN = frozenset(("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try"))


@dataclass(frozen=True)
class Site:
    """A call that enqueues the handler; of a helper around `enqueue_job`, the call of the
    helper.
    """

    module: Module
    call: ast.Call
    direct: bool = True

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def how(self) -> str:
        """For a reader."""
        return f"{ast.unparse(self.call.func)}(...)"

    def option(self, name: str) -> ast.expr | None:
        """One of the options that `enqueue_job` keeps for itself."""
        return next((k.value for k in self.call.keywords if k.arg == name), None)


def find_wiring(project: Project, handler: Definition) -> tuple[Wiring, ...]:
    """Every place, in order of path and line."""
    found: dict[tuple[str, int, str], Wiring] = {}
    for wiring in _all(project, handler):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, handler: Definition) -> Iterator[Wiring]:
    for entry in find_entries(project, handler):
        if entry.kind == "cron":
            yield Wiring("schedule", entry.place, "cron(...)", in_tests(entry.place.path))
    for site in find_sites(project, handler, tests=True):
        yield Wiring("enqueue", site.place, site.how, in_tests(site.module.path))
        if not in_tests(site.module.path):
            yield from _ticks(project, site)


def _ticks(project: Project, site: Site) -> Iterator[Wiring]:
    """The cron jobs that come to an enqueueing call: its own function, or one that calls that."""
    around = site.module.function_of(site.call)
    own = project.define(site.module, around) if around is not None else None
    for function in (own, *callers_of(project, own)) if own is not None else ():
        for entry in find_entries(project, function):
            if entry.kind == "cron":
                yield Wiring(
                    "schedule", entry.place, f"cron({function.name}) that enqueues it", False
                )


def find_sites(project: Project, handler: Definition, *, tests: bool = False) -> tuple[Site, ...]:
    """The calls with one of the handler's names; those in tests on request."""
    names = frozenset(entry.name for entry in find_entries(project, handler) if entry.name)
    key = ("arq.sites", handler.dotted)
    found = project.remember(
        key, lambda: tuple(s for s, name in named_sites(project, handler) if name in names)
    )
    return found if tests else tuple(site for site in found if not in_tests(site.module.path))


def named_sites(project: Project, handler: Definition) -> Iterator[tuple[Site, str]]:
    """(call, the name of the function that it enqueues), of every `enqueue_job` whose name can be
    told.
    """
    for module in project.modules_with("enqueue_job"):
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not _is_enqueue(node):
                continue
            first = (
                node.args[0]
                if node.args
                else next((k.value for k in node.keywords if k.arg == "function"), None)
            )
            name = _name(project, first, module, handler)
            if name is not None:
                yield Site(module, node), name
            elif isinstance(first, ast.Name):
                yield from _through(project, module, node, first.id, handler)


def _is_enqueue(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "enqueue_job"


def _name(
    project: Project, node: ast.expr | None, module: Module, handler: Definition
) -> str | None:
    """A text, or `handler.__name__`."""
    if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__"):
        mine = project.origin(module.resolve(node.value) or "") == handler.dotted
        return handler.name if mine else None
    value = project.literal(node, module) if node is not None else None
    return value if isinstance(value, str) else None


def _through(
    project: Project, module: Module, call: ast.Call, parameter: str, handler: Definition
) -> Iterator[tuple[Site, str]]:
    """`async def enqueue(name, *args): await pool.enqueue_job(name, *args)`: whoever calls it says
    the name.
    """
    function = module.function_of(call)
    own = project.define(module, function) if function is not None else None
    if own is None or parameter not in own.parameters:
        return
    position = [name for name in own.parameters if name not in ("self", "cls")].index(parameter)
    for use in project.uses(own.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Call) and above.func is use.node:
            named = next((k.value for k in above.keywords if k.arg == parameter), None)
            first = named or (above.args[position] if position < len(above.args) else None)
            name = _name(project, first, use.module, handler)
            if name is not None:
                yield Site(use.module, above, direct=False), name
