"""Rules about how a job is deferred: what never arrives, and what nobody takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.arguments import is_none
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.send_rules import find_called_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.procrastinate.sends import CONFIGURED, DEFERS, SENDER
from skillrun.frameworks.procrastinate.tasks import Task, read_task
from skillrun.repo.calls import surroundings
from skillrun.repo.python import Call
from skillrun.repo.source import last_word

_ALREADY = "AlreadyEnqueued"


def _task(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


def positional_arguments(job: Job) -> Iterator[Finding]:
    """`Task.defer` takes positional arguments and drops them; that of a configured task refuses
    them.
    """
    for send, call in find_called_sends(job, SENDER):
        method = last_word(call.node.func)
        if method not in DEFERS or not call.node.args:
            continue
        does = "drops them without a word"
        if send.via == CONFIGURED:
            does = "raises TypeError"
        message = f"{send.how} with positional arguments {does}: a task has keyword arguments alone"
        hint = f"{method}(name=value)"
        yield tell(job, "positional-arguments", Severity.ERROR, send.place, message, hint)


def defer_in_coroutine(job: Job) -> Iterator[Finding]:
    """`defer` blocks the event loop, and refuses to where the app was opened with asyncio."""
    if _task(job).django:
        return
    for send, call in find_called_sends(job, SENDER):
        around = call.module.function_of(call.node)
        if not send.is_coroutine and isinstance(around, ast.AsyncFunctionDef):
            message = (
                f"{send.how} in a coroutine: with an app that is open_async it raises, else it"
                " blocks the loop"
            )
            hint = f"await ...{last_word(call.node.func)}_async(...)"
            yield tell(job, "defer-in-coroutine", Severity.ERROR, send.place, message, hint)


def already_enqueued(job: Job) -> Iterator[Finding]:
    """A queueing lock that is taken is an exception in whoever defers."""
    of_task = _task(job).option("queueing_lock")
    for send, call in find_called_sends(job, SENDER):
        # A lock of None, given where it is deferred, takes the task's away.
        lock = send.options.get("queueing_lock") or of_task
        if lock is None or is_none(lock[0]) or _takes_it(job, call):
            continue
        message = (
            f"{send.how} raises AlreadyEnqueued while a job with its queueing lock waits, and"
            " nobody takes that"
        )
        hint = "except procrastinate.exceptions.AlreadyEnqueued: log it"
        yield tell(job, "already-enqueued", Severity.WARNING, send.place, message, hint)


def _takes_it(job: Job, call: Call) -> bool:
    around = surroundings(call.module, call.node)
    for block in around.tries:
        for node in block.handlers:
            clause = job.project.handler(call.module, node)
            if clause.broad or any(name.endswith(_ALREADY) for name in clause.exceptions):
                return True
    return any(_ALREADY in ast.unparse(manager) for manager in around.managers)
