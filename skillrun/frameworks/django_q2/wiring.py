"""Who queues or schedules a job of Django Q2."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.django_q2.sites import Site, find_sites
from skillrun.frameworks.interface import Send
from skillrun.repo.python import Definition, Project


def find_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Every place, in order of path and line; what the handler does to run once more itself is
    none.
    """
    found: dict[tuple[str, int, str], Send] = {}
    for wiring in _all(project, handler):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, handler: Definition) -> Iterator[Send]:
    for site in find_sites(project, handler):
        if handler.node in site.module.parents(site.call):
            continue
        yield Send(site.kind, site.place, site.how, site.in_tests)
        if site.kind == "enqueue" and not site.in_tests:
            yield from _ticks(project, site)


def _ticks(project: Project, site: Site) -> Iterator[Send]:
    """The schedules that come to an enqueueing call: of its own function, or of one that calls
    that.
    """
    around = site.module.function_of(site.call)
    own = project.define(site.module, around) if around is not None else None
    for function in (own, *_callers(project, own)) if own is not None else ():
        for found in find_sites(project, function):
            if found.kind == "schedule" and not found.in_tests:
                yield Send("schedule", found.place, f"{found.how} of {function.name}", False)


def _callers(project: Project, function: Definition) -> Iterator[Definition]:
    for use in project.uses(function.dotted):
        caller, above = use.module.function_of(use.node), next(use.module.parents(use.node), None)
        if caller is not None and isinstance(above, ast.Call) and above.func is use.node:
            yield project.define(use.module, caller)
