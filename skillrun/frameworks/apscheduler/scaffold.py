"""The job as a plain function, with a tick of the repository's scheduler that looks for work."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables import scaffold as callables
from skillrun.frameworks.common.callables.scaffold import AWAITS as AWAITS
from skillrun.frameworks.common.callables.scaffold import MESSAGE as MESSAGE
from skillrun.frameworks.common.callables.scaffold import TESTS as TESTS
from skillrun.frameworks.common.callables.scaffold import broker_needs as broker_needs
from skillrun.frameworks.common.crontab import DAYS, both_days, read_fields
from skillrun.frameworks.layout import call, seconds, source
from skillrun.frameworks.pieces import Facts, Piece, Render, Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Project

_WEEK = (*DAYS[1:], DAYS[0])


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: `tick` and `due`, and whether it is
    APScheduler 4.

    The tick stands where jobs are added already, so that the process of the scheduler imports it.
    """
    from skillrun.frameworks.apscheduler.jobs import is_version_4

    known = facts.use.task_modules
    if facts.path in known or not known:
        path = facts.path
    else:
        path = known[0]
    if path == facts.path:
        module = facts.module
    else:
        module = project.import_name(path)
    tick = Symbol(module, f"tick_{facts.name}", exists=False, path=path)
    return {
        **callables.ticks(tick, f"due_{facts.name}"),
        "version_4": is_version_4(project),
        "decorator": _choose_decorator(project, facts),
    }


def _choose_decorator(project: Project, facts: Facts) -> str:
    """The scheduler's decorator of jobs: `task` of flask_apscheduler, which has no `scheduled_job`
    of its own.
    """
    found = None
    if facts.app is not None:
        found = project.lookup(f"{facts.app.module}:{facts.app.name}")
    made = None
    if found is not None and found.binding is not None:
        made = found.binding.value
    if found is None or found.module is None or not isinstance(made, ast.Call):
        return "scheduled_job"
    origin = project.origin_of(found.module, made.func)
    if origin.startswith("flask_apscheduler"):
        return "task"
    return "scheduled_job"


def problems(facts: Facts) -> Iterator[str]:
    """What APScheduler cannot do of what the spec asks for, a sentence each."""
    yield from callables.problems(facts)
    if facts.app is None:
        yield "no scheduler was found that a module could import"
    if facts.of_library["version_4"]:
        yield "skillrun's templates are for APScheduler 3, and this is APScheduler 4"
    fields = None
    if facts.schedule:
        fields = read_fields(facts.schedule)
    if facts.schedule and (fields is None or both_days(fields)):
        yield f"APScheduler has no cron trigger that means {facts.schedule!r}"


def runs_need(facts: Facts, *, case: bool) -> list[Symbol | str]:
    """What the tests import beside the handler."""
    if case:
        return []
    return [facts.of_library["tick"]]


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, and the tick that the scheduler starts."""
    app = facts.app or Symbol("", "scheduler")
    options = [f'id="{facts.job}"', "coalesce=True", "misfire_grace_time=None"]
    if facts.trigger == "cron":
        trigger = _write_cron(facts)
    else:
        trigger = _write_interval(facts.every_s or 60)
    decorator = call(f"@{app.name}.{facts.of_library['decorator']}", [*trigger, *options])
    # By name, as jobs are written.
    needed: list[Symbol | str] = [Symbol(app.module, app.name)]
    return [
        callables.handler(facts, render),
        callables.ticking(
            facts, render, "tick.py.jinja", needed, callables.does(facts), decorator=decorator
        ),
    ]


def _write_interval(every_s: float) -> list[str]:
    """A tick every so often; a tenth of jitter keeps several hosts out of step."""
    return ['"interval"', f"seconds={seconds(every_s)}", f"jitter={max(1, int(every_s / 10))}"]


def _write_cron(facts: Facts) -> list[str]:
    zone = []
    if facts.timezone:
        zone = [f"timezone={source(facts.timezone)}"]
    given = cron_trigger(facts.schedule or "")
    return ['"cron"', *(f"{name}={source(text)}" for name, text in given.items()), *zone]


def cron_trigger(schedule: str) -> dict[str, str]:
    """The fields of a cron trigger, every one with them that APScheduler would else set to its
    lowest value.
    """
    fields = read_fields(schedule) or {}
    given = {"minute": fields["minute"], "hour": fields["hour"]}
    given |= {
        name: fields[name]
        for name in ("day", "month")
        if fields["month"] != "*" or fields[name] != "*"
    }
    if fields["day_of_week"] != "*":
        given["day_of_week"] = _name_days(fields["day_of_week"])
    return given


def _name_days(text: str) -> str:
    """Days of the week by name: APScheduler counts from Monday, cron from Sunday."""
    first, dash, last = text.partition("-")
    if dash:
        numbers = list(range(int(first), int(last) + 1))
    else:
        numbers = [int(number) for number in text.split(",")]
    names = {DAYS[number] for number in numbers}
    return ",".join(name for name in _WEEK if name in names)
