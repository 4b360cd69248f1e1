"""Who gives back the jobs of workers that died: code of the repository's own.

It calls `get_stalled_jobs`, or else `retry_job`. Sources: procrastinate/manager.py; "Retry stalled
jobs" in its documentation. The library itself never does: issues #307 and #1518.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.crontab import read_fields
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.procrastinate.tasks import read_task
from skillrun.repo.places import is_plainly_test
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, is_none, name_method

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse, Place

# `seconds_since_heartbeat` of get_stalled_jobs, and `stalled_worker_timeout` of the worker.
HEARTBEAT_S = 30.0
_DAY_S = 86_400.0
_RETRIES = ("retry_job", "retry_job_by_id", "retry_job_by_id_async")


@dataclass(frozen=True)
class Recovery:
    """A call of `get_stalled_jobs`, or of a `retry_job` without one, and the function around it."""

    call: ast.Call
    module: Module
    function: Definition | None
    cron: str | None = None  # of the periodic task that it is
    periodic: bool = False

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def wait_s(self) -> float | None:
        """At most so long after a death: the heartbeat's time, and one period; None where the
        schedule is not read.
        """
        period = None
        if self.cron:
            period = _period_s(self.cron)
        if period is None:
            return None
        return HEARTBEAT_S + period

    @property
    def asks_attempts(self) -> bool:
        """Something in the function looks at how often the job was tried."""
        node: ast.AST = self.module.tree
        if self.function is not None:
            node = self.function.node
        return any(isinstance(n, ast.Attribute) and n.attr == "attempts" for n in ast.walk(node))

    @property
    def by_age(self) -> ast.expr | None:
        """`nb_seconds`: how long a job may run before it is taken for stalled, its worker alive or
        not.
        """
        named = find_keyword(self.call, "nb_seconds")
        node = named or (
            next(iter(self.call.args), None) if last_word(self.call.func) not in _RETRIES else None
        )
        if is_none(node):
            return None
        return node


def find_recoveries(project: Project, use: FrameworkUse) -> tuple[Recovery, ...]:
    """Every one outside tests, those that a periodic task makes first."""
    key = ("procrastinate.recoveries", use.app)
    return project.remember(
        key, lambda: tuple(sorted(_find_all(project, use), key=lambda one: not one.periodic))
    )


def _find_all(project: Project, use: FrameworkUse) -> Iterator[Recovery]:
    yield from _find_calling(project, use, ("get_stalled_jobs",)) or _find_calling(
        project, use, _RETRIES
    )


def _find_calling(project: Project, use: FrameworkUse, names: tuple[str, ...]) -> list[Recovery]:
    modules = (
        module for module in project.modules_with(names[0]) if not is_plainly_test(module.path)
    )
    found = []
    for module in modules:
        for node in module.nodes(ast.Call):
            if name_method(node) in names:
                found.append(_read_recovery(project, use, node, module))
    return found


def _read_recovery(project: Project, use: FrameworkUse, call: ast.Call, module: Module) -> Recovery:
    around = module.function_of(call)
    function = None
    if around is not None:
        function = project.define(module, around)
    if function is not None:
        for one in (function, *_list_callers(project, function)):
            periodics = read_task(project, use, one).periodics
            if periodics:
                cron = project.literal(periodics[0].cron, periodics[0].module)
                return Recovery(
                    call, module, function, cron if isinstance(cron, str) else None, periodic=True
                )
    return Recovery(call, module, function)


def _list_callers(project: Project, function: Definition) -> Iterator[Definition]:
    for seen in project.uses(function.dotted):
        caller = seen.module.function_of(seen.node)
        if caller is not None and caller is not function.node:
            yield project.define(seen.module, caller)


def _period_s(cron: str) -> float | None:
    """Seconds between two ticks, at most, of the usual schedules; None for one that is not read."""
    # A sixth column is for seconds.
    fields = read_fields(" ".join(cron.split()[:5]))
    if fields is None:
        return None
    for name, size, whole in (("minute", 60.0, 60), ("hour", 3600.0, 24)):
        text = fields[name]
        if text == "*":
            return size
        if text.startswith("*/"):
            return float(text[2:]) * size
        if "," in text or "-" in text:
            return size * whole
    return _DAY_S
