"""What the rules share: the task behind a job, its ways to a retry, its publishers, and how a
finding is made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.retries import Retries, find_retries
from skillrun.frameworks.celery.tasks import Task, read_task
from skillrun.frameworks.celery.wiring import PUBLISHING, find_wiring
from skillrun.frameworks.interface import Job, Place, Wiring
from skillrun.repo.python import Call, Module
from skillrun.verdict import Finding, Severity


def task_of(job: Job) -> Task:
    """The task options of the handler."""
    return read_task(job.project, job.use, job.handler)


def retries_of(job: Job) -> Retries:
    """The ways by which the handler is retried."""
    return find_retries(job.project, task_of(job))


def say(
    rule: str, severity: Severity, place: Place, message: str, hint: str | None = None
) -> Finding:
    """A finding at a place."""
    return Finding(f"celery.{rule}", severity, message, place.path, place.line, hint)


def publishers(job: Job) -> Iterator[tuple[Wiring, Call]]:
    """The calls outside tests that publish the handler: `.delay(...)`, `.apply_async(...)`."""
    for wiring in find_wiring(job.project, job.use, job.handler):
        if wiring.in_tests or wiring.kind != "enqueue":
            continue
        module = job.project.module(wiring.place.path)
        for node in _publishing_calls(module, wiring.place.line) if module else ():
            if module is not None:
                yield wiring, job.project.call_at(module, node)


def _publishing_calls(module: Module, line: int) -> Iterator[ast.Call]:
    for node in ast.walk(module.tree):
        method = (
            node.func.attr
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            else ""
        )
        if isinstance(node, ast.Call) and method in PUBLISHING and node.lineno == line:
            yield node
