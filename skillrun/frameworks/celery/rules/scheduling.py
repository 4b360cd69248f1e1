"""Rules about schedules: ticks that overlap, and a crontab that fires every minute."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.config import place_of
from skillrun.frameworks.celery.rules.facts import say
from skillrun.frameworks.celery.sends import find_sends
from skillrun.frameworks.common.facts import calls_of, seconds
from skillrun.frameworks.interface import Job, Send
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Module
from skillrun.repo.syntax import read_entries

_CRONTABS = ("celery.schedules.crontab", "celery.task.schedules.crontab")
_LOCKS = ("add", "lock", "select_for_update", "acquire", "setnx")
_COARSER = {
    "hour": 86400.0,
    "day_of_week": 604800.0,
    "day_of_month": 2592000.0,
    "month_of_year": 31536000.0,
}


@rule(
    "celery.period-overlap",
    stage="idempotency",
    source="django-cronjobs#1, django-celery-beat#331",
)
def period_overlap(job: Job) -> Iterator[Finding]:
    """A schedule that is shorter than the run starts a second run beside the first.

    A tick that starts while the one before still runs.
    """
    if _takes_lock(job):
        return
    for send, module, node in schedules(job):
        period = _read_period(job, module, node)
        if period is None:
            continue
        limit = job.policy.time_limit_s
        if limit is not None and period < limit:
            message = (
                f"it starts every {seconds(period)} and may run for {seconds(limit)} (its time"
                " limit): two run at once"
            )
            hint = "a lock around the run, or a time_limit below the period"
            yield say("period-overlap", Severity.WARNING, send.place, message, hint)
        elif limit is None and period <= 60:
            message = (
                f"it starts every {seconds(period)} and nothing bounds how long it runs: two may"
                " run at once"
            )
            yield say(
                "period-overlap",
                Severity.NOTE,
                send.place,
                message,
                "set a time_limit, or take a lock",
            )


@rule("celery.crontab-minute", stage="contract", source="flake8-pie PIE784; celery/schedules.py")
def crontab_minute(job: Job) -> Iterator[Finding]:
    """crontab(hour=3) fires every minute from 3:00 to 3:59, because minute is '*' unless it is
    given.
    """
    for _, module, node in schedules(job):
        if not _is_crontab(job, module, node):
            continue
        given = _read_fields(node)
        coarser = []
        for name in _COARSER:
            if name in given and _read_text(job, module, given[name]) != "*":
                coarser.append(name)
        if "minute" not in given and coarser:
            message = (
                f"{ast.unparse(node)} fires every minute of the time that {coarser[0]} names:"
                " minute is '*' by default"
            )
            yield say(
                "crontab-minute", Severity.WARNING, place_of(module, node), message, "add minute=0"
            )


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


def _read_period(job: Job, module: Module, node: ast.expr) -> float | None:
    """Seconds between two ticks at the closest."""
    value = job.project.literal(node, module)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if (
        isinstance(node, ast.Call)
        and (module.resolve(node.func) or "").endswith("schedules.schedule")
        and node.args
    ):
        return _read_period(job, module, node.args[0])
    if not _is_crontab(job, module, node):
        return None
    return _cron_period(job, module, node)


def _cron_period(job: Job, module: Module, node: ast.expr) -> float | None:
    given = _read_fields(node)
    every = _read_step(
        _read_text(job, module, given["minute"]) if "minute" in given else "*", 60.0, 60
    )
    if every is not None:
        return every
    hours = _read_step(
        _read_text(job, module, given["hour"]) if "hour" in given else "*", 3600.0, 24
    )
    if hours is None:
        return 86400.0
    return hours


def _read_step(text: str | None, unit: float, size: int) -> float | None:
    """ "*" is every unit, "*/n" every n-th, "0,30" the closest two; None for one fixed time."""
    if text is None:
        return None
    if text == "*":
        return unit
    if text.startswith("*/") and text[2:].isdigit():
        return unit * int(text[2:])
    numbers = sorted(int(part) for part in text.split(",") if part.strip().isdigit())
    if len(numbers) < 2:
        return None
    gaps = []
    for earlier, later in zip(numbers, [*numbers[1:], numbers[0] + size], strict=True):
        gaps.append(later - earlier)
    return unit * min(gaps)


def _is_crontab(job: Job, module: Module, node: ast.expr) -> bool:
    name = None
    if isinstance(node, ast.Call):
        name = module.resolve(node.func)
    return bool(name) and job.project.origin(name or "") in _CRONTABS


def _read_fields(node: ast.expr) -> dict[str, ast.expr]:
    if not isinstance(node, ast.Call):
        return {}
    names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    given = dict(zip(names, node.args, strict=False))
    return given | {k.arg: k.value for k in node.keywords if k.arg}


def _read_text(job: Job, module: Module, node: ast.expr) -> str | None:
    value = job.project.literal(node, module)
    if not isinstance(value, int | str):
        return None
    return str(value)


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
