"""What Huey's rules share: the task behind a job, its schedule, and the command lines that start
consumers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.frameworks.huey.apps import setting
from skillrun.frameworks.huey.tasks import Task, read_task
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Project
from skillrun.repo.uses import Place

CRONTABS = ("huey.crontab", "huey.api.crontab")
_CONSUMERS = ("huey_consumer", "run_huey", "djangohuey", "run_djangohuey")
_FILES = (
    "",
    ".py",
    ".sh",
    ".yml",
    ".yaml",
    ".toml",
    ".conf",
    ".ini",
    ".service",
    ".cfg",
    ".j2",
    ".bash",
    ".tf",
)


def task_of(job: Job) -> Task:
    """The task options of the handler."""
    return read_task(job.project, job.use, job.handler)


def run_place(job: Job) -> Place:
    """The decorator, else the handler's own line."""
    return task_of(job).registered or Place(job.handler.path, job.handler.line)


def consumers(project: Project) -> tuple[Place, ...]:
    """The command lines outside tests that start a consumer."""
    return project.remember(("huey.consumers",), lambda: tuple(_find_consumers(project)))


def _find_consumers(project: Project) -> Iterator[Place]:
    for word in _CONSUMERS:
        for path in project.tree.search(word, ""):
            if path.endswith((".md", ".rst", ".txt", ".lock")) or is_plainly_test(path):
                continue
            lines = (project.tree.read(path) or b"").decode("utf-8", "replace").splitlines()
            for number, line in enumerate(lines, 1):
                if re.search(rf"\b{word}\b", line) and not line.lstrip().startswith("#"):
                    yield Place(path, number, line.strip())


def consumer_option(job: Job, name: str) -> object:
    """An entry of "consumer" in Django's HUEY; None where there is none."""
    found = setting(job.project, job.use, task_of(job).owner, "consumer")
    if found and isinstance(found.value, dict):
        return found.value.get(name)
    return None


def crontab(job: Job) -> ast.Call | None:
    """The `crontab(...)` of a periodic task, where it stands in the decorator."""
    node = task_of(job).schedule
    name = None
    if isinstance(node, ast.Call):
        name = job.handler.module.resolve(node.func)
    is_crontab = name is not None and job.project.origin(name) in CRONTABS
    if isinstance(node, ast.Call) and is_crontab:
        return node
    return None
