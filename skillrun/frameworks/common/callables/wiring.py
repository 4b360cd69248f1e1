"""Who starts what leads to a callable: command lines with and without a time, loops that poll,
scheduler objects.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.callers import Reach
from skillrun.frameworks.common.callables.commands import starts_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import (
    Send,
)
from skillrun.repo.places import is_aside
from skillrun.repo.source import last_word
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project, Use

_DECORATORS = ("schedule.repeat", "aiocron.crontab")


def starting(project: Project, reach: Reach) -> Iterator[Send]:
    """Every place that starts or schedules one of the functions or modules that were reached."""
    yield from _find_loops(reach)
    yield from _find_commands(project, reach)
    yield from _in_code(project, reach)


def _find_loops(reach: Reach) -> Iterator[Send]:
    for place in reach.loops:
        yield Send("schedule", place, "loop that sleeps (poller)")


def _find_commands(project: Project, reach: Reach) -> Iterator[Send]:
    for start in starts_of(project, reach):
        kind = "enqueue"
        if start.scheduled or reach.loops:
            kind = "schedule"
        place = Place(start.path, start.line, start.text)
        yield Send(
            kind,
            place,
            " ".join(filter(None, [start.how or "command", start.when])),
            is_aside(start.path),
        )


def _in_code(project: Project, reach: Reach) -> Iterator[Send]:
    for function in reach.functions:
        yield from _find_decorators(project, function)
        for use in project.uses(function.dotted):
            yield from _handed_on(project, use)
        yield from _by_text(project, function)


def _find_decorators(project: Project, function: Definition) -> Iterator[Send]:
    for node in function.decorators:
        name = function.module.resolve(node.func if isinstance(node, ast.Call) else node)
        if name and project.origin(name) in _DECORATORS:
            yield Send("schedule", place_of(function.module, node), f"@{project.origin(name)}")


def _handed_on(project: Project, use: Use) -> Iterator[Send]:
    """`schedule.every().day.do(f)`, `aiocron.crontab("...", func=f)`; also with the call `f()` that
    is a mistake.
    """
    inner = use.module.find_call_of(use.node) or use.node
    above = next(use.module.parents(inner), None)
    if isinstance(above, ast.keyword):
        above = next(use.module.parents(above), None)
    if not isinstance(above, ast.Call) or above.func is inner:
        return
    name = use.module.resolve(above.func) or ast.unparse(above.func)
    if last_word(above.func) == "do" and "every" in name:
        yield Send(
            "schedule",
            place_of(use.module, above),
            "schedule.every()....do(...)",
            is_aside(use.path),
        )
    elif project.origin(name) == "aiocron.crontab":
        yield Send(
            "schedule", place_of(use.module, above), "aiocron.crontab(...)", is_aside(use.path)
        )


def _by_text(project: Project, function: Definition) -> Iterator[Send]:
    """django-crontab: `CRONJOBS = [("*/5 * * * *", "shop.cron.sweep")]`."""
    for module in project.modules_with("CRONJOBS"):
        for node in module.nodes(ast.Constant):
            if node.value == function.dotted:
                yield Send("schedule", place_of(module, node), "CRONJOBS", is_aside(module.path))
