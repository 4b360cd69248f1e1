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
from skillrun.frameworks.common.reading import find_own_place, place_of
from skillrun.frameworks.interface import (
    Send,
)
from skillrun.repo.places import is_aside
from skillrun.repo.python import UNKNOWN
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, has_spread, is_constant, read_entries
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse

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
        word = ""
        if isinstance(node, ast.Call):
            word = last_word(node.func)
        if word == "from_crontab":
            return "CronTrigger"
        return word or "?"

    @property
    def scheduled(self) -> bool:
        """It comes again, or may."""
        return self.method == "add_schedule" or self.trigger not in _ONCE

    def argument(self, name: str) -> ast.expr | None:
        """An argument by keyword; the trigger also by its position."""
        named = find_keyword(self.call, name)
        if named is not None or name != "trigger":
            return named
        position = {"scheduled_job": 0, "task": 0}.get(self.method, 1)
        if position < len(self.call.args):
            return self.call.args[position]
        return None

    @property
    def spread(self) -> bool:
        """`**options`: any option may be given."""
        return has_spread(self.call)


def find_jobs(project: Project, handler: Definition) -> tuple[Scheduled, ...]:
    """Every place that gives the handler, or a function that calls it, to a scheduler; tests
    included.
    """
    return project.remember(
        ("apscheduler.jobs", handler.path, handler.name),
        lambda: tuple(_list_jobs(project, handler)),
    )


def _list_jobs(project: Project, handler: Definition) -> Iterator[Scheduled]:
    for function in reach_of(project, handler).functions:
        yield from _find_decorators(function)
        for use in project.uses(function.dotted):
            call = _find_adding_call(use.module, use.node)
            if call is not None:
                yield Scheduled(last_word(call.func), call, use.module, function)
        for module in project.modules_with(function.name.rpartition(".")[2]):
            for node in module.nodes(ast.Constant):
                if node.value in (
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
        if not isinstance(above, ast.Call | ast.Lambda | ast.keyword):
            return None
        if isinstance(above, ast.Call) and _adds_job(above) and below is not above.func:
            if _is_what_is_added(above, below):
                return above
            return None
        below = above
    return None


def _adds_job(call: ast.Call) -> bool:
    return last_word(call.func) in ("add_job", "add_schedule")


def _is_what_is_added(call: ast.Call, given: ast.AST) -> bool:
    """The first argument, or `func=...`."""
    if isinstance(given, ast.keyword):
        return given.arg == "func"
    return call.args[:1] == [given]


def _by_text(module: Module, node: ast.Constant, function: Definition) -> Iterator[Scheduled]:
    """`add_job("shop.jobs:sweep", ...)`, and the dictionaries of flask_apscheduler's JOBS."""
    call = _find_adding_call(module, node)
    if call is not None:
        yield Scheduled(last_word(call.func), call, module, function)
        return
    above = next(module.parents(node), None)
    if not isinstance(above, ast.Dict):
        return
    keywords = []
    for key, value in read_entries(above).items():
        keywords.append(ast.keyword(arg=str(key), value=value))
    made = ast.Call(func=ast.Name("JOBS", ast.Load()), args=[], keywords=keywords)
    if find_keyword(made, "trigger") is not None:
        yield Scheduled("JOBS", ast.copy_location(made, node), module, function)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or call that schedules it; else its own `def`, as any function can be
    scheduled.
    """
    for job in find_jobs(project, handler):
        if not job.in_tests:
            return job.place
    return find_own_place(project, use, handler)


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
        for node in module.nodes(ast.Call):
            if _makes_scheduler(project, module, node):
                made.append((module, node))
    if len(made) != 1:
        return None
    return _read_scheduler(project, *made[0])


def _makes_scheduler(project: Project, module: Module, node: ast.Call) -> bool:
    origin = project.origin_of(module, node.func)
    return origin.startswith(("apscheduler.schedulers.", "flask_apscheduler.")) and origin.endswith(
        "Scheduler"
    )


def _read_scheduler(project: Project, module: Module, call: ast.Call) -> Scheduler:
    given: dict[str, tuple[Module, ast.expr]] = {}
    opaque = False
    for where, one in ((module, call), *_find_configure_calls(project)):
        opaque = opaque or bool(one.args) or has_spread(one)
        for keyword in one.keywords:
            if keyword.arg:
                given[keyword.arg] = (where, keyword.value)
    return Scheduler(
        kind=last_word(call.func),
        call=call,
        module=module,
        defaults=UNKNOWN if opaque else _read_given(project, given.get("job_defaults"), {}),
        persistent=_find_persistent_store(project, given.get("jobstores")),
        stores_known=not opaque,
        timezone=UNKNOWN if opaque else _read_given(project, given.get("timezone"), None),
    )


def _read_given(project: Project, given: tuple[Module, ast.expr] | None, default: Any) -> Any:
    if given is None:
        return default
    module, node = given
    return project.literal(node, module)


def _find_configure_calls(project: Project) -> Iterator[tuple[Module, ast.Call]]:
    """`scheduler.configure(jobstores=..., job_defaults=...)`."""
    for module in project.modules_with("configure"):
        for node in module.nodes(ast.Call):
            if last_word(node.func) == "configure" and _is_scheduler(node):
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
        if is_aside(module.path):
            continue
        for call in module.nodes(ast.Call):
            if _adds_persistent_default(call):
                return call
    return None


def _adds_persistent_default(call: ast.Call) -> bool:
    """`scheduler.add_jobstore("sqlalchemy", url=...)`, without another alias than "default"."""
    if last_word(call.func) != "add_jobstore" or not call.args:
        return False
    alias = call.args[1] if len(call.args) > 1 else find_keyword(call, "alias")
    is_default = is_constant(alias, "default")
    return (alias is None or is_default) and _outlives_process(call.args[0])


def _list_items(project: Project, node: ast.expr, module: Module) -> Iterator[tuple[str, ast.expr]]:
    value = _find_held(project, node, module)
    if not isinstance(value, ast.Dict):
        return
    for key, held in read_entries(value).items():
        yield str(key), held


def _find_held(project: Project, node: ast.expr, module: Module) -> ast.expr | None:
    """What a variable of the function, else of a module, holds; any other expression itself."""
    scope = module.function_of(node)
    if isinstance(node, ast.Name) and scope is not None:
        local = module.bindings(scope).get(node.id)
        if local:
            return local[-1].value
    if isinstance(node, ast.Name | ast.Attribute):
        found = project.lookup(module.resolve(node) or "")
        if found and found.binding:
            return found.binding.value
    return node


def _outlives_process(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in _ALIASES
    if isinstance(node, ast.Dict):
        named = read_entries(node).get("type")
        return named is not None and _outlives_process(named)
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
    total = 0.0
    for keyword in node.keywords if isinstance(node, ast.Call) else job.call.keywords:
        if keyword.arg not in _UNITS:
            continue
        value = project.literal(keyword.value, job.module)
        if not isinstance(value, int | float):
            return None
        total += _UNITS[keyword.arg] * value
    return total or None


def is_version_4(project: Project) -> bool:
    """`add_schedule` and a scheduler that is imported from the package itself are of APScheduler
    4.
    """
    modules = (*project.modules_with("AsyncScheduler"), *project.modules_with("add_schedule"))
    return any("apscheduler" in module.text for module in modules)
