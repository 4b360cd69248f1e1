"""Rules about how a task is enqueued: what is called instead, and what arrives twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_tasks.sends import SENDER, find_enqueue
from skillrun.frameworks.django_tasks.tasks import Task, read_task
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Call


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.handler)


@rule(
    "django-tasks.called",
    stage="handler",
    rests_on="setup",
    source="Task in django/tasks/base.py (a dataclass without __call__)",
)
def called(job: Job) -> Iterator[Finding]:
    """A task is no function any more: calling it raises TypeError, and .call() runs it where it
    stands.

    `ship(1)`, or `ship.call(1)` outside of tests.
    """
    task = _task_of(job)
    if task.registered is None:
        return
    for use in job.project.uses(task.name):
        above = next(use.module.parents(use.node), None)
        if is_plainly_test(use.path) or use.node in ast.walk(job.handler.node):
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


@rule(
    "django-tasks.publish-unkeyed",
    stage="idempotency",
    source="posthog#62708 (review): publishing inside something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A task that enqueues another one does so again on every run: no backend drops a
    second row.
    """
    own = _task_of(job)
    for call in calls_of(job):
        owner = _find_enqueued_task(job, call)
        if owner is not None and owner.name != own.name:
            message = (
                f"{ast.unparse(call.node.func)}(...) in a job that may run again: each run enqueues"
                " once more"
            )
            hint = (
                "enqueue it in the transaction that marks the job as done, or let the other task"
                " de-duplicate"
            )
            if any("atomic" in name for name in call.in_with):
                severity = Severity.NOTE
            else:
                severity = Severity.WARNING
            yield tell(job, "publish-unkeyed", severity, call_place(call), message, hint)


def _find_enqueued_task(job: Job, call: Call) -> Task | None:
    """The repository's task that a call enqueues."""
    func = call.node.func
    inner = None
    if isinstance(func, ast.Attribute):
        inner = func.value
    if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        inner = inner.func.value
    if not isinstance(inner, ast.Name | ast.Attribute) or find_enqueue(call.module, inner) is None:
        return None
    target = job.project.definition(call.module.resolve(inner) or "")
    task = None
    if target is not None and not target.is_class:
        task = read_task(job.project, target)
    if task is not None and task.registered is not None:
        return task
    return None


@rule(
    "django-tasks.not-awaited",
    stage="handler",
    rests_on="setup",
    source="Task.aenqueue in django/tasks/base.py",
)
def not_awaited(job: Job) -> Iterator[Finding]:
    """aenqueue is a coroutine: without await nothing is enqueued."""
    return send_rules.not_awaited(job, SENDER)


@rule(
    "django-tasks.wrong-arguments",
    stage="handler",
    source="DatabaseBackend.enqueue in django_tasks_db/backend.py",
)
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Arguments are not compared when a task is enqueued: what does not fit fails in the worker."""
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "django-tasks.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source="saleor#5457, sentry#89284; Transactions in Django's documentation of tasks",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A backend outside of the database may hand the task to a worker before the commit, or
    although it is undone.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "django-tasks.object-argument",
    stage="contract",
    rests_on="setup",
    source="normalize_json in django/utils/json.py; mozilla/experimenter#1631",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """Arguments are JSON: a row, a date, a decimal or a UUID raises TypeError when the task is
    enqueued.
    """
    return send_rules.object_argument(job, SENDER)
