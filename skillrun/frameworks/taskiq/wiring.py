"""Who kicks a taskiq task, and who schedules it: kiq, schedule_by_..., the label `schedule`, what
starts a sender.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.callers import callers_of, reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.interface import Send
from skillrun.frameworks.taskiq.tasks import KICKS, Site, find_sites, read_task

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project, Use


def find_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """In order of path and line; calls of the handler by itself left out."""
    found: dict[tuple[str, int, str], Send] = {}
    every = list(_all(project, handler))
    if all(wiring.in_tests for wiring in every):
        every += [wiring for use in project.uses(handler.dotted) for wiring in _handed_on(use)]
    for wiring in (*every, *_started(project, handler)):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, handler: Definition) -> Iterator[Send]:
    task = read_task(project, handler)
    if "schedule" in task.labels:
        node, module = task.labels["schedule"]
        yield Send("schedule", place_of(module, node), "schedule=[...]", in_tests(module.path))
    for site in find_sites(project, handler):
        if handler.node in site.module.parents(site.call):
            continue
        yield Send(KICKS[site.method], site.place, f".{site.method}(...)", site.in_tests)
        if not site.in_tests:
            yield from _ticks(project, site)


def _ticks(project: Project, site: Site) -> Iterator[Send]:
    """The scheduled tasks that come to a kick: its own function, or one that calls that."""
    around = site.module.function_of(site.call)
    own = project.define(site.module, around) if around is not None else None
    for function in (own, *callers_of(project, own)) if own is not None else ():
        sender = read_task(project, function)
        if "schedule" in sender.labels:
            node, module = sender.labels["schedule"]
            how = f"schedule=[...] of {sender.handler.name}, which kicks it"
            yield Send("schedule", place_of(module, node), how)


def _started(project: Project, handler: Definition) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that kick it."""
    places = [
        (site.module, site.call) for site in find_sites(project, handler) if not site.in_tests
    ]
    yield from (
        one for one in starting(project, reach_of_places(project, places)) if one.kind == "schedule"
    )


def _handed_on(use: Use) -> Iterator[Send]:
    """`kicker = send.kicker()`, or the task as a value in a mapping: somebody kicks it, out of
    sight.
    """
    above = next(use.module.parents(use.node), None)
    kicker = isinstance(above, ast.Attribute) and above.attr == "kicker"
    if (
        kicker or isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword)
    ) and not in_tests(use.path):
        yield Send("enqueue", place_of(use.module, use.node), "handed on as a value")
