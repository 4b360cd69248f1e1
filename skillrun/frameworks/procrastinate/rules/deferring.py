"""Rules about how a job is deferred: what never arrives, and what nobody takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.send_rules import find_called_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.procrastinate.sends import CONFIGURED, DEFERS, SENDER
from skillrun.frameworks.procrastinate.tasks import Task, read_task
from skillrun.frameworks.rulebook import rule
from skillrun.repo.calls import surroundings
from skillrun.repo.python import Call
from skillrun.repo.source import last_word
from skillrun.repo.syntax import is_none

_ALREADY = "AlreadyEnqueued"


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


@rule(
    "procrastinate.positional-arguments",
    stage="handler",
    rests_on="setup",
    source="Task.defer(self, *_, **task_kwargs) in procrastinate/tasks.py",
)
def positional_arguments(job: Job) -> Iterator[Finding]:
    """Task.defer(1, 2) drops what it is given by position, and the job fails in the worker.

    `Task.defer` takes positional arguments and drops them; that of a configured task refuses them.
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


@rule(
    "procrastinate.defer-in-coroutine",
    stage="handler",
    rests_on="setup",
    source=(
        "BaseAsyncConnector in procrastinate/connector.py; get_sync_connector in"
        " procrastinate/psycopg_connector.py"
    ),
)
def defer_in_coroutine(job: Job) -> Iterator[Finding]:
    """defer goes through asgiref's AsyncToSync where the app is open_async, which raises in a
    running loop.
    """
    if _task_of(job).django:
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


@rule(
    "procrastinate.already-enqueued",
    stage="handler",
    source="_raise_already_enqueued in procrastinate/manager.py",
)
def already_enqueued(job: Job) -> Iterator[Finding]:
    """A queueing lock that a waiting job has makes defer raise AlreadyEnqueued."""
    of_task = _task_of(job).option("queueing_lock")
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


@rule(
    "procrastinate.wrong-arguments",
    stage="handler",
    source="JobDeferrer.make_new_job in procrastinate/jobs.py",
)
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Arguments are not held against the function when a job is deferred."""
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "procrastinate.not-awaited",
    stage="handler",
    rests_on="setup",
    source="Task.defer_async in procrastinate/tasks.py",
)
def not_awaited(job: Job) -> Iterator[Finding]:
    """defer_async is a coroutine: without await nothing is deferred."""
    return send_rules.not_awaited(job, SENDER)


@rule(
    "procrastinate.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source="Task.configure(connection=) in procrastinate/tasks.py; saleor#5457",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """The app's own connections commit at once: a worker may be faster than the transaction, which
    may roll back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "procrastinate.publish-unkeyed",
    stage="idempotency",
    source=(
        "posthog#62708; queueing_lock in procrastinate/sql/schema.sql holds for status `todo` alone"
    ),
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that defers another one does so once more for each run."""
    return send_rules.publish_unkeyed(job, SENDER)


@rule(
    "procrastinate.object-argument",
    stage="handler",
    rests_on="setup",
    source="procrastinate_jobs.args in procrastinate/sql/schema.sql; experimenter#1631",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """Arguments are kept as JSON: a database row cannot be written as that."""
    return send_rules.object_argument(job, SENDER)
