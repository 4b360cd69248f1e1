"""Rules about how a task is kicked: what never arrives, what arrives twice, and what is sent too
early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.arguments import Given, is_injected, mismatch, shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job, Send
from skillrun.frameworks.taskiq.tasks import KICKS, Site, real_sites
from skillrun.repo.python import Call
from skillrun.verdict import Finding, Severity


def _sites(job: Job) -> Iterator[Site]:
    yield from real_sites(job.project, job.handler)


def not_awaited(job: Job) -> Iterator[Finding]:
    """A coroutine that nobody awaits does nothing."""
    for site in _sites(job):
        if isinstance(next(site.module.parents(site.call), None), ast.Expr):
            message = f".{site.method}(...) is a coroutine, and is not awaited: nothing is sent"
            yield tell(
                job,
                "not-awaited",
                Severity.ERROR,
                site.place,
                message,
                f"await ....{site.method}(...)",
            )


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the task does not take."""
    node = job.handler.node
    if isinstance(node, ast.ClassDef) or node.args.vararg or node.args.kwarg:
        return
    taken = _without_dependencies(job, node.args)
    for site in _sites(job):
        given = _given(site)
        wrong = mismatch(taken, given) if given is not None else None
        if wrong is not None:
            message = (
                f"{wrong}: taskiq does not look when it is kicked, the task fails with TypeError in"
                " the worker"
            )
            yield tell(
                job,
                "wrong-arguments",
                Severity.ERROR,
                site.place,
                message,
                f"it takes {shown(taken)}",
            )


def _without_dependencies(job: Job, args: ast.arguments) -> ast.arguments:
    """What taskiq fills is no sender's to give."""

    def kept(
        names: list[ast.arg], defaults: list[ast.expr | None]
    ) -> list[tuple[ast.arg, ast.expr | None]]:
        pairs = zip(names, defaults, strict=True)
        return [pair for pair in pairs if not is_injected(job.project, job.handler.module, *pair)]

    positional = [*args.posonlyargs, *args.args]
    taken = kept(positional, [*[None] * (len(positional) - len(args.defaults)), *args.defaults])
    named = kept(args.kwonlyargs, args.kw_defaults)
    given = [value for _, value in taken if value is not None]
    return ast.arguments(
        [],
        [one for one, _ in taken],
        None,
        [one for one, _ in named],
        [v for _, v in named],
        None,
        given,
    )


def _given(site: Site) -> Given | None:
    names = [keyword.arg for keyword in site.call.keywords]
    if None in names or any(isinstance(arg, ast.Starred) for arg in site.given):
        return None
    return Given(site.call, len(site.given), tuple(name for name in names if name))


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled
    back.
    """
    yield from publishing.publish_in_transaction(job, _published(job), "kick it after the block")


def _published(job: Job) -> Iterator[tuple[Send, Call]]:
    for site in _sites(job):
        yield (
            Send("enqueue", site.place, f".{site.method}(...)"),
            job.project.call_at(site.module, site.call),
        )


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
    for site in _sites(job):
        if site.task_id is not None:
            message = (
                "with_task_id keeps no second task out: taskiq runs two messages with one id, and"
                " keeps the last result"
            )
            place = place_of(site.module, site.task_id)
            yield tell(
                job,
                "task-id-is-no-key",
                Severity.NOTE,
                place,
                message,
                "remember the key in the task's own store",
            )


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument."""
    for site in _sites(job):
        for node in [*site.given, *(keyword.value for keyword in site.call.keywords)]:
            what = row_in(job, site.module, node)
            if what is not None:
                message = (
                    f"{ast.unparse(node)} is {what}: JSON takes none, and a copy is stale when the"
                    " task runs"
                )
                yield tell(
                    job,
                    "object-argument",
                    Severity.WARNING,
                    site.place,
                    message,
                    "send its primary key",
                )
