"""Rules about how a task is kicked: what arrives twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.taskiq.sends import KICKS, TASK_ID, find_real_kicks
from skillrun.verdict import Finding, Severity


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A task that kicks another one does so once for every run."""
    for call in calls_of(job):
        func = call.node.func
        if isinstance(func, ast.Attribute) and func.attr in KICKS:
            message = (
                f"{ast.unparse(func)}(...) in a task that may run again: each run sends it once"
                " more"
            )
            hint = (
                "let the other task de-duplicate by a key of its own: taskiq never drops a message"
            )
            yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def task_id_is_no_key(job: Job) -> Iterator[Finding]:
    """An id of one's own keeps nothing out."""
    for send in find_real_kicks(job.project, job.handler):
        given = send.option(TASK_ID)
        if given is not None:
            message = (
                "with_task_id keeps no second task out: taskiq runs two messages with one id, and"
                " keeps the last result"
            )
            place = place_of(given[1], given[0])
            yield tell(
                job,
                "task-id-is-no-key",
                Severity.NOTE,
                place,
                message,
                "remember the key in the task's own store",
            )
