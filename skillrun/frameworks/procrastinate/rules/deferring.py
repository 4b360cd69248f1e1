"""Rules about how a job is deferred: what never arrives, what arrives twice, and what is sent too
early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.arguments import Given, mismatch, shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.interface import Job, Send
from skillrun.frameworks.procrastinate.tasks import Task, read_task
from skillrun.frameworks.procrastinate.wiring import BATCHES, DEFERS, Site, find_sites
from skillrun.repo.calls import surroundings
from skillrun.repo.python import Call
from skillrun.verdict import Finding, Severity

_ALREADY = "AlreadyEnqueued"


def _task(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


def _sites(job: Job) -> tuple[Site, ...]:
    return find_sites(job.project, job.use, job.handler)


def positional_arguments(job: Job) -> Iterator[Finding]:
    """`Task.defer` takes positional arguments and drops them; that of a configured task refuses
    them.
    """
    for site in _sites(job):
        if site.method in DEFERS and site.call.args:
            does = (
                "raises TypeError" if site.configured is not None else "drops them without a word"
            )
            message = (
                f"{site.how} with positional arguments {does}: a task has keyword arguments alone"
            )
            yield tell(
                job,
                "positional-arguments",
                Severity.ERROR,
                site.place,
                message,
                f"{site.method}(name=value)",
            )


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the function does not take."""
    node, task = job.handler.node, _task(job)
    if (
        isinstance(node, ast.ClassDef)
        or node.args.vararg
        or node.args.kwarg
        or len(job.handler.decorators) > 1
    ):
        return
    taken = _without_context(node.args) if _passes_context(job, task) else node.args
    for site in _sites(job):
        names = [keyword.arg for keyword in site.call.keywords]
        if (
            site.method not in DEFERS
            or site.call.args
            or None in names
            or site.option("task_kwargs") is not None
        ):
            continue
        wrong = mismatch(taken, Given(site.call, 0, tuple(name for name in names if name)))
        if wrong is not None:
            message = (
                f"{wrong}: nobody looks when it is deferred, the job fails with TypeError in the"
                " worker"
            )
            yield tell(
                job,
                "wrong-arguments",
                Severity.ERROR,
                site.place,
                message,
                f"it takes {shown(taken)}",
            )


def _passes_context(job: Job, task: Task) -> bool:
    option = task.option("pass_context")
    return option is not None and job.project.literal(*option) is not False


def _without_context(args: ast.arguments) -> ast.arguments:
    positional = [*args.posonlyargs, *args.args][1:]
    defaults = args.defaults[-len(positional) :] if positional else []
    return ast.arguments([], positional, None, args.kwonlyargs, args.kw_defaults, None, defaults)


def not_awaited(job: Job) -> Iterator[Finding]:
    """A coroutine that nobody awaits does nothing."""
    for site in _sites(job):
        if site.method.endswith("_async") and isinstance(
            next(site.module.parents(site.call), None), ast.Expr
        ):
            message = f"{site.how} is not awaited: nothing is deferred"
            yield tell(
                job, "not-awaited", Severity.ERROR, site.place, message, f"await ...{site.how}"
            )


def defer_in_coroutine(job: Job) -> Iterator[Finding]:
    """`defer` blocks the event loop, and refuses to where the app was opened with asyncio."""
    for site in _sites(job):
        around = site.module.function_of(site.call)
        if (
            not site.method.endswith("_async")
            and isinstance(around, ast.AsyncFunctionDef)
            and not _task(job).django
        ):
            message = (
                f"{site.how} in a coroutine: with an app that is open_async it raises, else it"
                " blocks the loop"
            )
            hint = f"await ...{site.method}_async(...)"
            yield tell(job, "defer-in-coroutine", Severity.ERROR, site.place, message, hint)


def already_enqueued(job: Job) -> Iterator[Finding]:
    """A queueing lock that is taken is an exception in whoever defers."""
    of_task = _task(job).option("queueing_lock")
    for site in _sites(job):
        node = site.option("queueing_lock") or (of_task[0] if of_task else None)
        if (
            node is None
            or (isinstance(node, ast.Constant) and node.value is None)
            or _takes_it(job, site)
        ):
            continue
        message = (
            f"{site.how} raises AlreadyEnqueued while a job with its queueing lock waits, and"
            " nobody takes that"
        )
        hint = "except procrastinate.exceptions.AlreadyEnqueued: log it"
        yield tell(job, "already-enqueued", Severity.WARNING, site.place, message, hint)


def _takes_it(job: Job, site: Site) -> bool:
    around = surroundings(site.module, site.call)
    clauses = [
        job.project.handler(site.module, node) for block in around.tries for node in block.handlers
    ]
    caught = any(
        one.broad or any(name.endswith(_ALREADY) for name in one.exceptions) for one in clauses
    )
    return caught or any(_ALREADY in ast.unparse(manager) for manager in around.managers)


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """The app's own connection commits at once; Django's is the transaction's, and so is one that
    is handed over.
    """
    if not _task(job).django:
        hint = "defer it after the block, or configure(connection=...) of the same connection"
        yield from publishing.publish_in_transaction(job, _published(job), hint)


def _published(job: Job) -> Iterator[tuple[Send, Call]]:
    for site in _sites(job):
        if site.option("connection") is None:
            yield (
                Send("enqueue", site.place, site.how),
                job.project.call_at(site.module, site.call),
            )


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that defers another job does so once for every run."""
    for call in calls_of(job):
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr not in (*DEFERS, *BATCHES):
            continue
        if "queueing_lock" not in ast.unparse(func):
            message = (
                f"{ast.unparse(func)}(...) in a job that may run again: each run defers once more"
            )
            hint = (
                "let the other job de-duplicate by its own key; queueing_lock only holds while it"
                " waits"
            )
            yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument."""
    for site in _sites(job):
        for keyword in site.call.keywords:
            what = row_in(job, site.module, keyword.value)
            if what is not None:
                message = (
                    f"{ast.unparse(keyword.value)} is {what}: arguments are JSON, and this cannot"
                    " be written as that"
                )
                hint = "send its primary key and load it in the job"
                yield tell(job, "object-argument", Severity.ERROR, site.place, message, hint)
