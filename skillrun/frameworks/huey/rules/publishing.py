"""Rules about how a job is defined and published: what never runs, what never arrives, what is sent
twice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.huey.rules.facts import task_of
from skillrun.frameworks.huey.sends import SENDER, TAKEN_SINCE_3, find_messages
from skillrun.frameworks.huey.tasks import is_task
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.uses import Place


@rule(
    "huey.never-runs",
    stage="handler",
    source="TaskWrapper.create_task in huey/api.py (ConfigurationError; context=True passes task=)",
)
def never_runs(job: Job) -> Iterator[Finding]:
    """What Huey cannot call fails when it is defined or at every run: async functions, missing
    arguments.
    """
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
        hint = "a plain function that calls asyncio.run(...)"
        yield tell(job, "never-runs", Severity.ERROR, place, message, hint)
    if task.option("context") is True:
        yield from _find_unwanted_task(job, node, place)
    if task.kind == "periodic":
        yield from _find_missing_arguments(job, node, place)


def _find_unwanted_task(
    job: Job, node: ast.FunctionDef | ast.AsyncFunctionDef, place: Place
) -> Iterator[Finding]:
    """`context=True` hands the task over, which the function has to take."""
    if "task" in job.handler.parameters or node.args.kwarg is not None:
        return
    message = (
        "context=True passes task=, which the function does not take: every run raises TypeError"
    )
    hint = "add a parameter task, or drop context=True"
    yield tell(job, "never-runs", Severity.ERROR, place, message, hint)


def _find_missing_arguments(
    job: Job, node: ast.FunctionDef | ast.AsyncFunctionDef, place: Place
) -> Iterator[Finding]:
    """The clock that starts a periodic task knows no arguments."""
    context = task_of(job).option("context")
    missing = []
    for name in _list_needed(node):
        if not (name == "task" and context):
            missing.append(name)
    if missing:
        message = (
            f"a periodic task is called without arguments, and this one needs {', '.join(missing)}"
        )
        hint = "give them defaults, or look them up inside"
        yield tell(job, "never-runs", Severity.ERROR, place, message, hint)


def _list_needed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    plain = positional[: len(positional) - len(args.defaults)]
    required = []
    for a, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if default is None:
            required.append(a)
    return [a.arg for a in (*plain, *required)]


@rule("huey.reserved-argument", stage="handler", source="TaskWrapper.s in huey/api.py")
def reserved_argument(job: Job) -> Iterator[Finding]:
    """Huey takes eta, delay, retries, expires, priority and others out of the call: the job never
    sees them.
    """
    for send in find_messages(job.project, task_of(job)):
        if send.via == "schedule":
            continue
        for name in send.options:
            if name not in job.handler.parameters:
                continue
            since = ""
            if name in TAKEN_SINCE_3:
                since = " (in Huey 3)"
            message = (
                f"Huey takes {name}= for itself{since}: the handler's parameter of that name never"
                " gets it"
            )
            if since:
                severity = Severity.WARNING
            else:
                severity = Severity.ERROR
            hint = "rename the parameter, or pass it by position"
            yield tell(job, "reserved-argument", severity, send.place, message, hint)


@rule(
    "huey.publish-unkeyed",
    stage="idempotency",
    source="posthog#62708 (review): publishing inside something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that publishes another one does so again on every attempt; Huey does not
    de-duplicate.
    """
    if job.policy.max_attempts == 1:
        return
    for call in calls_of(job):
        own = None
        if call.resolved and not call.via:
            own = job.project.definition(call.name.removesuffix(".schedule"))
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


@rule(
    "huey.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source="saleor#5457, sentry#89284; on_commit_task in huey/contrib/djhuey",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A message published inside a transaction can be worked on before the commit, or although it
    is rolled back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "huey.wrong-arguments",
    stage="handler",
    source="TaskWrapper.s and Task.execute in huey/api.py",
)
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Nobody compares arguments when a task is called: a call that leaves one out, or gives one
    that the task does not take, fails in the worker.
    """
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "huey.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument is pickled as it was when it was sent, and is stale when the
    job runs; JSON cannot carry it.
    """
    return send_rules.object_argument(job, SENDER)


@rule("huey.pickle-serializer", stage="contract", source="huey/serializer.py (SignedSerializer)")
def pickle_serializer(job: Job) -> Iterator[Finding]:
    """Huey pickles its messages: whoever writes to a shared Redis runs code in the worker."""
    return send_rules.pickle_serializer(job, SENDER)
