"""Rules about schedules: ticks that overlap, and a crontab that fires every minute."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.sends import find_sends
from skillrun.frameworks.common.facts import calls_of
from skillrun.frameworks.common.schedule_rules import Clock, Tick, declare_schedule_rules
from skillrun.frameworks.interface import Job, Send
from skillrun.repo.python import Module
from skillrun.repo.syntax import read_entries

_LOCKS = ("add", "lock", "select_for_update", "acquire", "setnx")


def schedules(job: Job) -> Iterator[tuple[Send, Module, ast.expr]]:
    """The schedule expression of every beat entry of the handler that stands in Python code outside
    tests.
    """
    for send in find_sends(job.project, job.use, job.handler):
        module = None
        if send.place.path.endswith(".py"):
            module = job.project.module(send.place.path)
        if module is None or send.kind != "schedule" or send.in_tests:
            continue
        for node in module.all_nodes:
            expression = _schedule_at(node, send.place.line)
            if expression is not None:
                yield send, module, expression


def _schedule_at(node: ast.AST, line: int) -> ast.expr | None:
    if isinstance(node, ast.Dict):
        entry = read_entries(node)
        if "task" in entry and entry["task"].lineno == line:
            return entry.get("schedule")
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.lineno == line:
        if node.func.attr == "add_periodic_task" and node.args:
            return node.args[0]
        return None
    return None


def _list_ticks(job: Job) -> Iterator[Tick]:
    """The schedules; of `schedule(run_every)`, what it is given."""
    for send, module, node in schedules(job):
        written = node
        if isinstance(node, ast.Call) and node.args:
            name = module.resolve(node.func) or ""
            if name.endswith("schedules.schedule"):
                written = node.args[0]
        yield Tick(send.place, module, written)


def _takes_lock(job: Job) -> bool:
    for call in calls_of(job):
        word = call.origin.rpartition(".")[2]
        if (
            word in _LOCKS
            or "nx" in call.keywords
            or any("lock" in name.lower() for name in call.in_with)
        ):
            return True
    return False


SCHEDULES = declare_schedule_rules(
    Clock(
        library="celery",
        crontabs=("celery.schedules.crontab", "celery.task.schedules.crontab"),
        fields=("minute", "hour", "day_of_week", "day_of_month", "month_of_year"),
        on_the_hour="minute=0",
        limit="its time limit",
        list_ticks=_list_ticks,
        takes_lock=_takes_lock,
        hint_for_long_runs="a lock around the run, or a time_limit below the period",
        hint_for_unbounded_runs="set a time_limit, or take a lock",
    ),
    crontab_source="flake8-pie PIE784; celery/schedules.py",
    overlap_source="django-cronjobs#1, django-celery-beat#331",
)
