"""What the rules share: the task behind a job, its ways to a retry, and how a finding is made."""

from __future__ import annotations

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.retries import Retries, find_retries
from skillrun.frameworks.celery.tasks import Task, read_task
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.repo.uses import Place


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
