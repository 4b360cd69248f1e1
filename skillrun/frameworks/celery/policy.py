"""The effective policy of a Celery task: how often it runs, how long it waits, and what the broker
then does.

Defaults and rules are Celery 5's (celery/app/task.py, celery/app/autoretry.py): `max_retries` 3
means four runs, None means without end; a task that never asks for a retry runs once.
"""

from __future__ import annotations

from typing import Any

from skillrun.frameworks.celery.config import visibility_timeout
from skillrun.frameworks.celery.deadletter import find_dead_letter
from skillrun.frameworks.celery.retries import Path, Retries, find_retries
from skillrun.frameworks.celery.tasks import Task, read_task
from skillrun.frameworks.common.reading import import_paths
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.uses import FrameworkUse, Place

_NO_BACKOFF = Backoff("none")
_DEFAULT_RETRIES = 3  # `max_retries` of celery/app/task.py


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler, as code and configuration say; what cannot be read is named in
    `unknown`.
    """
    task = read_task(project, use, handler)
    retries = find_retries(project, task)
    sources: dict[str, Place | None] = {}
    unknown: dict[str, Place] = {}
    attempts = _count_attempts(retries, sources, unknown, task)
    backoff = _choose_backoff(retries, sources, unknown, task)
    timeout = visibility_timeout(task.config, use)
    if timeout.unknown:
        unknown["visibility_timeout_s"] = timeout.place or _place_of_task(task)
    sources["visibility_timeout_s"] = timeout.place
    dead_letter = find_dead_letter(project, task, retries)
    sources |= {"retried": retries.paths[0].place if retries.paths else None}
    sources |= {
        "dead_letter": dead_letter.exhausted,
        "dead_letter_permanent": dead_letter.permanent,
    }
    for place in (*retries.unread, *task.config.unread):
        unknown.setdefault("options" if place in retries.unread else "configuration", place)
    return Policy(
        max_attempts=attempts,
        backoff=backoff,
        retried=import_paths(project, [name for path in retries.paths for name in path.exceptions]),
        not_retried=import_paths(project, [name for path in retries.paths for name in path.spared]),
        acks_late=bool(_read_option(task, "acks_late", False, sources, unknown)),
        reject_on_worker_lost=bool(
            _read_option(task, "reject_on_worker_lost", False, sources, unknown)
        ),
        visibility_timeout_s=timeout.seconds,
        time_limit_s=_read_number(_read_option(task, "time_limit", None, sources, unknown)),
        serializer=str(_read_option(task, "serializer", "json", sources, unknown)),
        dead_letter=dead_letter.exhausted
        if retries.paths
        else dead_letter.exhausted or dead_letter.permanent,
        sources=sources,
        unknown=unknown,
    )


def _count_attempts(
    retries: Retries, sources: dict[str, Place | None], unknown: dict[str, Place], task: Task
) -> int | None:
    """Runs including the first: the most that any way allows. An unreadable limit is named and
    taken as the default.
    """
    if not retries.paths:
        sources["max_attempts"] = None
        return 1
    readable = _list_readable(retries, unknown)
    for path in readable:
        if path.max_retries is None:
            sources["max_attempts"] = path.max_place
            return None
    if not readable:
        sources["max_attempts"] = None
        return _DEFAULT_RETRIES + 1
    most = max(readable, key=lambda path: path.max_retries)
    sources["max_attempts"] = most.max_place
    return int(most.max_retries) + 1


def _list_readable(retries: Retries, unknown: dict[str, Place]) -> list[Path]:
    """The ways whose limit is a number, or none; the others are named."""
    readable = []
    for path in retries.paths:
        if path.max_retries is None or isinstance(path.max_retries, int):
            readable.append(path)
        else:
            unknown["max_attempts"] = path.max_place or path.place
    return readable


def _choose_backoff(
    retries: Retries, sources: dict[str, Place | None], unknown: dict[str, Place], task: Task
) -> Backoff:
    """The slowest readable wait of all ways."""
    if not retries.paths:
        return _NO_BACKOFF
    for path in retries.paths:
        if path.backoff is None:
            unknown["backoff"] = path.backoff_place or path.place
    readable = [path for path in retries.paths if path.backoff is not None]
    if not readable:
        if "backoff" not in unknown:
            return Backoff("fixed", 180.0)
        return _NO_BACKOFF
    slowest = max(readable, key=_last_wait)
    sources["backoff"] = slowest.backoff_place
    return slowest.backoff or _NO_BACKOFF


def _last_wait(path: Path) -> float:
    retries = 10
    if isinstance(path.max_retries, int):
        retries = path.max_retries
    if not path.backoff:
        return 0.0
    return sum(path.backoff.delays(min(max(retries, 1), 50)))


def _read_option(
    task: Task, name: str, default: Any, sources: dict[str, Place | None], unknown: dict[str, Place]
) -> Any:
    if name == "time_limit":
        key = f"{name}_s"
    else:
        key = name
    value = task.option(name)
    sources[key] = task.place(name)
    if is_known(value):
        return value
    unknown[key] = task.place(name) or _place_of_task(task)
    if value.default is not None:
        return value.default
    return default


def _place_of_task(task: Task) -> Place:
    return task.registered or Place(task.handler.path, task.handler.line)


def _read_number(value: Any) -> float | None:
    if not isinstance(value, int | float):
        return None
    return float(value)
