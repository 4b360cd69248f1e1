"""The places that give a function to a scheduler, and the options that then hold.

Sources: apscheduler/schedulers/base.py of 3.11 (`add_job`, `scheduled_job`, `_configure`: coalesce
True, max_instances 1, misfire_grace_time 1), and of 4.0 (`add_schedule`, `add_job`),
flask_apscheduler (`task`, JOBS).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables.callers import reach_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import (
    Send,
)
from skillrun.repo.places import is_aside
from skillrun.repo.python import UNKNOWN
from skillrun.repo.source import last_word
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project

DEFAULTS: dict[str, Any] = {"coalesce": True, "max_instances": 1, "misfire_grace_time": 1}
PERSISTENT = (
    *(
        "SQLAlchemyJobStore",
        "RedisJobStore",
        "MongoDBJobStore",
        "DjangoJobStore",
        "EtcdJobStore",
        "ZooKeeperJobStore",
    ),
    *("RethinkDBJobStore",),
)
_ALIASES = ("sqlalchemy", "redis", "mongodb", "rethinkdb", "zookeeper", "etcd")
_UNITS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_ONCE = (None, "date", "DateTrigger")


@dataclass(frozen=True)
class Scheduled:
    """One place. `method`: add_job, scheduled_job, task, add_schedule, or JOBS; `function`: the
    handler or a caller.
    """

    method: str
    call: ast.Call
    module: Module
    function: Definition

    @property
    def place(self) -> Place:
        return place_of(self.module, self.call)

    @property
    def in_tests(self) -> bool:
        return is_aside(self.module.path)

    @property
    def trigger(self) -> str | None:
        """cron, interval, date, CronTrigger, ...; None: at once; "?" where it cannot be told."""
        node = self.argument("trigger")
        if node is None:
            return None
        if isinstance(node, ast.Constant):
            if node.value is None:
                return None
            return str(node.value)
        word = last_word(node.func) if isinstance(node, ast.Call) else ""
        if word == "from_crontab":
            return "CronTrigger"
        return word or "?"

    @property
    def scheduled(self) -> bool:
        """It comes again, or may."""
        return self.method == "add_schedule" or self.trigger not in _ONCE

    def argument(self, name: str) -> ast.expr | None:
        """An argument by keyword; the trigger also by its position."""
        named = next((keyword.value for keyword in self.call.keywords if keyword.arg == name), None)
        if named is not None or name != "trigger":
            return named
        position = {"scheduled_job": 0, "task": 0}.get(self.method, 1)
        if position < len(self.call.args):
            return self.call.args[position]
        return None

    @property
    def spread(self) -> bool:
        """`**options`: any option may be given."""
        return any(keyword.arg is None for keyword in self.call.keywords)


def find_jobs(project: Project, handler: Definition) -> tuple[Scheduled, ...]:
    """Every place that gives the handler, or a function that calls it, to a scheduler; tests
    included.
    """
    return project.remember(
        ("apscheduler.jobs", handler.path, handler.name), lambda: tuple(_jobs(project, handler))
    )


def _jobs(project: Project, handler: Definition) -> Iterator[Scheduled]:
    for function in reach_of(project, handler).functions:
        yield from _find_decorators(function)
        for use in project.uses(function.dotted):
            call = _find_adding_call(use.module, use.node)
            if call is not None:
                yield Scheduled(last_word(call.func), call, use.module, function)
        for module in project.modules_with(function.name.rpartition(".")[2]):
            for node in module.all_nodes:
                if isinstance(node, ast.Constant) and node.value in (
                    function.import_path,
                    function.dotted,
                ):
                    yield from _by_text(module, node, function)


def _find_decorators(function: Definition) -> Iterator[Scheduled]:
    """`@scheduler.scheduled_job("cron", hour=3)`, `@scheduler.task(...)` of flask_apscheduler."""
    for node in function.decorators:
        if (
            isinstance(node, ast.Call)
            and last_word(node.func) in ("scheduled_job", "task")
            and _is_scheduler(node)
        ):
            yield Scheduled(last_word(node.func), node, function.module, function)


def _is_scheduler(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and "sched" in ast.unparse(call.func.value).lower()


def _find_adding_call(module: Module, node: ast.AST) -> ast.Call | None:
    """The `add_job(...)` around a function: itself, `partial(f, 1)`, `lambda: f(1)`, or the mistake
    `f()`.
    """
    below = node
    for above in list(module.parents(node))[:4]:
        if (
            isinstance(above, ast.Call)
            and last_word(above.func) in ("add_job", "add_schedule")
            and below is not above.func
        ):
            passed = [
                *above.args[:1],
                *(keyword for keyword in above.keywords if keyword.arg == "func"),
            ]
            if below not in passed:
                return None
            return above
        if not isinstance(above, ast.Call | ast.Lambda | ast.keyword):
            return None
        below = above
    return None


def _by_text(module: Module, node: ast.Constant, function: Definition) -> Iterator[Scheduled]:
    """`add_job("shop.jobs:sweep", ...)`, and the dictionaries of flask_apscheduler's JOBS."""
    call = _find_adding_call(module, node)
    if call is not None:
        yield Scheduled(last_word(call.func), call, module, function)
        return
    above = next(module.parents(node), None)
    if isinstance(above, ast.Dict) and any(
        isinstance(k, ast.Constant) and k.value == "trigger" for k in above.keys
    ):
        pairs = []
        for k, v in zip(above.keys, above.values, strict=True):
            if isinstance(k, ast.Constant):
                pairs.append((k.value, v))
        keywords = [ast.keyword(arg=str(name), value=value) for name, value in pairs]
        made = ast.Call(func=ast.Name("JOBS", ast.Load()), args=[], keywords=keywords)
        yield Scheduled("JOBS", ast.copy_location(made, node), module, function)


def find_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Every place that schedules the handler or adds it once, in order of path and line."""
    found: dict[tuple[str, int], Send] = {}
    for job in find_jobs(project, handler):
        if job.trigger:
            how = f"{job.method}(..., {job.trigger!r})"
        else:
            how = f"{job.method}(...)"
        wiring = Send("schedule" if job.scheduled else "enqueue", job.place, how, job.in_tests)
        found.setdefault((wiring.place.path, wiring.place.line), wiring)
    return tuple(found[key] for key in sorted(found))


# Options


@dataclass(frozen=True)
class Scheduler:
    """The one scheduler that the application makes. `kind` is its class, e.g.
    BackgroundScheduler.
    """

    kind: str
    call: ast.Call
    module: Module
    defaults: Any  # job_defaults as a dict; an Unknown where they cannot be read
    persistent: ast.AST | None  # what makes its default job store outlive the process
    stores_known: bool
    timezone: Any = None


def the_scheduler(project: Project) -> Scheduler | None:
    """None where the application makes none or several: which of them a job is given to cannot be
    told.
    """
    return project.remember(("apscheduler.scheduler",), lambda: _the_scheduler(project))


def _the_scheduler(project: Project) -> Scheduler | None:
    made = []
    for module in project.modules_with("apscheduler"):
        if is_aside(module.path):
            continue
        for node in module.all_nodes:
            if isinstance(node, ast.Call) and _makes_scheduler(project, module, node):
                made.append((module, node))
    if len(made) != 1:
        return None
    return _read_scheduler(project, *made[0])


def _makes_scheduler(project: Project, module: Module, node: ast.Call) -> bool:
    origin = project.origin(module.resolve(node.func) or "")
    return origin.startswith(("apscheduler.schedulers.", "flask_apscheduler.")) and origin.endswith(
        "Scheduler"
    )


def _read_scheduler(project: Project, module: Module, call: ast.Call) -> Scheduler:
    settings = [(module, call), *_find_configure_calls(project)]
    given = {}
    for m, c in settings:
        for k in c.keywords:
            if k.arg:
                given[k.arg] = (m, k.value)
    opaque = any(c.args or any(k.arg is None for k in c.keywords) for _, c in settings)
    if "job_defaults" in given:
        defaults = project.literal(given["job_defaults"][1], given["job_defaults"][0])
    else:
        defaults = {}
    zone = None
    if "timezone" in given:
        zone = project.literal(given["timezone"][1], given["timezone"][0])
    return Scheduler(
        kind=last_word(call.func),
        call=call,
        module=module,
        defaults=UNKNOWN if opaque else defaults,
        persistent=_find_persistent_store(project, given.get("jobstores")),
        stores_known=not opaque,
        timezone=UNKNOWN if opaque else zone,
    )


def _find_configure_calls(project: Project) -> Iterator[tuple[Module, ast.Call]]:
    """`scheduler.configure(jobstores=..., job_defaults=...)`."""
    for module in project.modules_with("configure"):
        for node in module.all_nodes:
            if (
                isinstance(node, ast.Call)
                and last_word(node.func) == "configure"
                and _is_scheduler(node)
            ):
                yield module, node


def _find_persistent_store(
    project: Project, jobstores: tuple[Module, ast.expr] | None
) -> ast.AST | None:
    """The default job store, where it is a persistent one: `{"default": SQLAlchemyJobStore(...)}`,
    `add_jobstore`.
    """
    if jobstores is not None:
        module, node = jobstores
        for key, value in _list_items(project, node, module):
            if key == "default" and _outlives_process(value):
                return value
    for module in project.modules_with("add_jobstore"):
        for call in module.all_nodes:
            if (
                isinstance(call, ast.Call)
                and last_word(call.func) == "add_jobstore"
                and not is_aside(module.path)
            ):
                alias = next((k.value for k in call.keywords if k.arg == "alias"), None)
                if len(call.args) > 1:
                    alias = call.args[1]
                default = alias is None or (
                    isinstance(alias, ast.Constant) and alias.value == "default"
                )
                if call.args and _outlives_process(call.args[0]) and default:
                    return call
    return None


def _list_items(project: Project, node: ast.expr, module: Module) -> Iterator[tuple[str, ast.expr]]:
    found = None
    if isinstance(node, ast.Name | ast.Attribute):
        found = project.lookup(module.resolve(node) or "")
    local = None
    if isinstance(node, ast.Name) and (scope := module.function_of(node)):
        local = module.bindings(scope).get(node.id)
    if local:
        value = local[-1].value
    elif found and found.binding:
        value = found.binding.value
    else:
        value = node
    for key, held in (
        zip(value.keys, value.values, strict=True) if isinstance(value, ast.Dict) else ()
    ):
        if isinstance(key, ast.Constant):
            yield str(key.value), held


def _outlives_process(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in _ALIASES
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return any(
            isinstance(k, ast.Constant) and k.value == "type" and _outlives_process(v)
            for k, v in pairs
        )
    return isinstance(node, ast.Call) and last_word(node.func) in PERSISTENT


def option(project: Project, job: Scheduled, name: str) -> Any:
    """The value that holds for a job: its own, the scheduler's default, else APScheduler 3's;
    Unknown where unread.
    """
    node = job.argument(name)
    if node is not None:
        return project.literal(node, job.module)
    scheduler = the_scheduler(project)
    if job.spread or scheduler is None or not isinstance(scheduler.defaults, dict):
        return UNKNOWN
    return scheduler.defaults.get(name, DEFAULTS.get(name))


def period(project: Project, job: Scheduled) -> float | None:
    """The seconds between two runs of an interval; None for any other trigger, or where it cannot
    be read.
    """
    if job.trigger not in ("interval", "IntervalTrigger"):
        return None
    node = job.argument("trigger")
    given = node.keywords if isinstance(node, ast.Call) else job.call.keywords
    values = {}
    for k in given:
        if k.arg in _UNITS:
            values[k.arg] = project.literal(k.value, job.module)
    if not all(isinstance(value, int | float) for value in values.values()):
        return None
    return float(sum(_UNITS[name or ""] * value for name, value in values.items())) or None


def is_version_4(project: Project) -> bool:
    """`add_schedule` and a scheduler that is imported from the package itself are of APScheduler
    4.
    """
    modules = (*project.modules_with("AsyncScheduler"), *project.modules_with("add_schedule"))
    return any("apscheduler" in module.text for module in modules)
