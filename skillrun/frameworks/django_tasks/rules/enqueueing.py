"""Rules about how a task is enqueued: what is called instead, and what arrives twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.django_tasks.sends import find_enqueue
from skillrun.frameworks.django_tasks.tasks import Task, read_task
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call


def _task(job: Job) -> Task:
    return read_task(job.project, job.handler)


def called(job: Job) -> Iterator[Finding]:
    """`ship(1)`, or `ship.call(1)` outside of tests."""
    task = _task(job)
    for use in job.project.uses(task.name) if task.registered is not None else ():
        above = next(use.module.parents(use.node), None)
        if in_tests(use.path) or use.node in ast.walk(job.handler.node):
            continue
        if isinstance(above, ast.Call) and above.func is use.node:
            message = (
                f"{ast.unparse(above.func)}(...): a Task cannot be called, this raises TypeError"
            )
            yield tell(
                job, "called", Severity.ERROR, place_of(use.module, above), message, ".enqueue(...)"
            )
        elif isinstance(above, ast.Attribute) and above.attr in ("call", "acall"):
            message = (
                f".{above.attr}(...) runs the task where it stands, without a row and without a"
                " worker"
            )
            yield tell(
                job,
                "called",
                Severity.WARNING,
                place_of(use.module, above),
                message,
                ".enqueue(...)",
            )


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that enqueues another task does so once for every run."""
    own = _task(job)
    for call in calls_of(job):
        owner = _enqueued(job, call)
        if owner is not None and owner.name != own.name:
            message = (
                f"{ast.unparse(call.node.func)}(...) in a job that may run again: each run enqueues"
                " once more"
            )
            hint = (
                "enqueue it in the transaction that marks the job as done, or let the other task"
                " de-duplicate"
            )
            severity = (
                Severity.NOTE
                if any("atomic" in name for name in call.in_with)
                else Severity.WARNING
            )
            yield tell(job, "publish-unkeyed", severity, call_place(call), message, hint)


def _enqueued(job: Job, call: Call) -> Task | None:
    """The repository's task that a call enqueues."""
    func = call.node.func
    inner = func.value if isinstance(func, ast.Attribute) else None
    if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        inner = inner.func.value
    if not isinstance(inner, ast.Name | ast.Attribute) or find_enqueue(call.module, inner) is None:
        return None
    target = job.project.definition(call.module.resolve(inner) or "")
    task = read_task(job.project, target) if target is not None and not target.is_class else None
    return task if task is not None and task.registered is not None else None
