"""The entry of Celery's beat schedule for a job that a clock starts, where the repository keeps its
entries.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.crontab import both_days, read_fields
from skillrun.frameworks.layout import seconds, source
from skillrun.frameworks.pieces import Entry, Facts

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_FIELDS = {
    "minute": "minute",
    "hour": "hour",
    "day": "day_of_month",
    "month": "month_of_year",
    "day_of_week": "day_of_week",
}
_SETTINGS = ("CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE", "beat_schedule")


@dataclass(frozen=True)
class Schedule:
    """Where entries go: a file, and the target of `Entry`."""

    path: str
    target: str


def find_schedule(project: Project, facts: Facts) -> Schedule | None:
    """The dict that holds entries already; else `conf.beat_schedule` of the app, where a module has
    the app.
    """
    for word in _SETTINGS:
        for module in project.modules_with(word):
            target = next(_list_targets(module, word), None)
            if target is not None and "test" not in module.path:
                return Schedule(module.path, target)
    app = facts.app
    if app is None:
        return None
    return Schedule(app.path, f"{app.name}.conf.beat_schedule")


def _list_targets(module: Module, word: str) -> Iterator[str]:
    """ "CELERY_BEAT_SCHEDULE", "app.conf.beat_schedule", or "app.conf.update(beat_schedule=)"."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            name = ast.unparse(node.targets[0])
            if name.rpartition(".")[2] == word:
                yield name
        call = None
        if isinstance(node, ast.Expr | ast.Assign):
            call = node.value
        if isinstance(call, ast.Call) and any(keyword.arg == word for keyword in call.keywords):
            yield f"{ast.unparse(call.func)}({word}=)"


def problems(facts: Facts) -> Iterator[str]:
    """What beat cannot say of the schedule, or where no entry can be written."""
    if facts.of_library["beat"] is None:
        yield "no beat schedule and no app object was found that a module could import"
    fields = None
    if facts.schedule:
        fields = read_fields(facts.schedule)
    if facts.schedule and (fields is None or both_days(fields)):
        yield f"Celery's crontab has no way to say {facts.schedule!r}"


def entry(facts: Facts, task: str) -> Entry:
    """The entry that starts a task at each tick."""
    place: Schedule = facts.of_library["beat"]
    return Entry(
        place.path, place.target, _write_entry(facts, task), source(facts.job), _list_imports(facts)
    )


def _write_entry(facts: Facts, task: str) -> str:
    return f'{{\n    "task": {source(task)},\n    "schedule": {_write_schedule(facts)},\n}}'


def _write_schedule(facts: Facts) -> str:
    """Seconds for a poller, a crontab else: every field that differs from "any", which is crontab's
    default.
    """
    if facts.schedule is None:
        return f"{seconds(facts.every_s or 60)}.0"
    fields = read_fields(facts.schedule) or {}
    given = []
    for name, text in fields.items():
        if text != "*":
            given.append(f"{_FIELDS[name]}={source(text)}")
    return f"crontab({', '.join(given)})"


def _list_imports(facts: Facts) -> tuple[str, ...]:
    if facts.schedule is None:
        return ()
    return ("from celery.schedules import crontab",)
