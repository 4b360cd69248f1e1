"""Rules about how a job is defined and published: what never runs, what never arrives, what is sent
too early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.huey.apps import storage
from skillrun.frameworks.huey.rules.facts import run_place, task_of
from skillrun.frameworks.huey.tasks import Task, is_task
from skillrun.frameworks.huey.wiring import sites
from skillrun.frameworks.interface import Job, Place, Send
from skillrun.repo.python import Call
from skillrun.verdict import Finding, Severity

_TAKEN = ("eta", "delay", "retries", "retry_delay", "priority", "expires")
_TAKEN_SINCE_3 = ("id", "retry_backoff", "timeout")


def never_runs(job: Job) -> Iterator[Finding]:
    """A task that Huey cannot define or call."""
    task, node = task_of(job), job.handler.node
    place = Place(job.handler.path, job.handler.line)
    if task.bare is not None:
        message = (
            "the decorator needs parentheses: without them it gets the function for its retries"
        )
        yield tell(job, "never-runs", Severity.ERROR, task.bare, message, f"{task.bare.text}()")
    if task.registered is None or isinstance(node, ast.ClassDef) or task.below or task.unread:
        return
    if isinstance(node, ast.AsyncFunctionDef):
        message = (
            "an async function is no Huey task: Huey 3 refuses it when it is defined, and older"
            " ones never await it"
        )
        yield tell(
            job,
            "never-runs",
            Severity.ERROR,
            place,
            message,
            "a plain function that calls asyncio.run(...)",
        )
    names, needed = job.handler.parameters, _needed(node)
    context = task.option("context")
    if context is True and "task" not in names and node.args.kwarg is None:
        message = (
            "context=True passes task=, which the function does not take: every run raises"
            " TypeError"
        )
        yield tell(
            job,
            "never-runs",
            Severity.ERROR,
            place,
            message,
            "add a parameter task, or drop context=True",
        )
    missing = [name for name in needed if not (name == "task" and context)]
    if task.kind == "periodic" and missing:
        message = (
            f"a periodic task is called without arguments, and this one needs {', '.join(missing)}"
        )
        yield tell(
            job,
            "never-runs",
            Severity.ERROR,
            place,
            message,
            "give them defaults, or look them up inside",
        )


def _needed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    plain = positional[: len(positional) - len(args.defaults)]
    required = [
        a for a, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None
    ]
    return [a.arg for a in (*plain, *required)]


def reserved_argument(job: Job) -> Iterator[Finding]:
    """`send(id=7)`: Huey takes the word for one of its own."""
    for module, call in sites(job.project, task_of(job)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "schedule":
            continue
        for keyword in call.keywords:
            if (
                keyword.arg not in (*_TAKEN, *_TAKEN_SINCE_3)
                or keyword.arg not in job.handler.parameters
            ):
                continue
            since = " (in Huey 3)" if keyword.arg in _TAKEN_SINCE_3 else ""
            message = (
                f"Huey takes {keyword.arg}= for itself{since}: the handler's parameter of that name"
                " never gets it"
            )
            severity = Severity.WARNING if since else Severity.ERROR
            hint = "rename the parameter, or pass it by position"
            yield tell(job, "reserved-argument", severity, place_of(module, call), message, hint)


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled
    back.
    """
    if task_of(job).kind != "on_commit":
        hint = "transaction.on_commit(lambda: ...), on_commit_task, or publish after the block"
        yield from publishing.publish_in_transaction(job, _published(job), hint)


def _published(job: Job) -> Iterator[tuple[Send, Call]]:
    for module, node in sites(job.project, task_of(job)):
        above = next(module.parents(node), None)
        enqueued = (
            isinstance(above, ast.Call)
            and isinstance(above.func, ast.Attribute)
            and above.func.attr == "enqueue"
        )
        if enqueued or not (isinstance(node.func, ast.Attribute) and node.func.attr == "s"):
            how = f"{ast.unparse(node.func)}(...)"  # `send.s(7)` alone enqueues nothing
            yield Send("enqueue", place_of(module, node), how), job.project.call_at(module, node)


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that enqueues another task does so once for every attempt."""
    if job.policy.max_attempts == 1:
        return
    for call in calls_of(job):
        own = (
            job.project.definition(call.name.removesuffix(".schedule"))
            if call.resolved and not call.via
            else None
        )
        if (
            own is not None
            and own.node is not job.handler.node
            and is_task(job.project, job.use, own)
        ):
            message = (
                f"{own.name} is enqueued by a job that is retried: each attempt enqueues it once"
                " more"
            )
            hint = "enqueue it last, and let it de-duplicate by a key that it is given"
            yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument."""
    for module, call in sites(job.project, task_of(job)):
        for node in _arguments(call):
            row = row_in(job, module, node)
            if row is not None:
                message = (
                    f"{ast.unparse(node)} is {row}: it is pickled as it is now, and stale when the"
                    " job runs"
                )
                hint = "send its primary key and load it in the job"
                yield tell(
                    job, "object-argument", Severity.WARNING, place_of(module, call), message, hint
                )


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    """What reaches the job: the arguments of a call, or the tuple and dict of `schedule`."""
    scheduled = isinstance(call.func, ast.Attribute) and call.func.attr == "schedule"
    for node in (*call.args, *(k.value for k in call.keywords)):
        if not scheduled:
            yield node
        elif isinstance(node, ast.Tuple | ast.List):
            yield from node.elts
        elif isinstance(node, ast.Dict):
            yield from node.values


def pickle_serializer(job: Job) -> Iterator[Finding]:
    """Plain pickle through a server that others may write to."""
    task: Task = task_of(job)
    if job.policy.serializer != "pickle" or "Redis" not in storage(
        job.project, job.use, task.owner
    ):
        return
    message = "Huey's messages are pickled: whoever can write to this Redis runs code in the worker"
    hint = "SignedSerializer(secret=...), or a Redis that only this application reaches"
    yield tell(job, "pickle-serializer", Severity.NOTE, run_place(job), message, hint)
