"""Rules about how a task is enqueued: what never arrives, what arrives twice, and what is sent too
early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.arguments import Given, mismatch, shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.django_tasks.backends import find_backends
from skillrun.frameworks.django_tasks.tasks import (
    Site,
    Task,
    find_sites,
    other_sites,
    read_task,
    site_at,
)
from skillrun.frameworks.interface import Job, Send
from skillrun.repo.python import Call, Module
from skillrun.verdict import Finding, Severity

_NO_JSON = (
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "django.utils.timezone.now",
    "datetime.date.today",
    "decimal.Decimal",
    "uuid.uuid4",
    "uuid.UUID",
    "datetime.timedelta",
    "builtins.set",
)


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


def not_awaited(job: Job) -> Iterator[Finding]:
    """A coroutine that nobody awaits does nothing."""
    for site in find_sites(job.project, _task(job)):
        above = next(site.module.parents(site.call), None) if site.call is not None else None
        if getattr(site.node, "attr", "") == "aenqueue" and isinstance(above, ast.Expr):
            message = f"{site.how} is not awaited: nothing is enqueued"
            yield tell(
                job, "not-awaited", Severity.ERROR, site.place, message, f"await ...{site.how}"
            )


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the function does not take."""
    task, node = _task(job), job.handler.node
    if (
        isinstance(node, ast.ClassDef)
        or node.args.vararg
        or node.args.kwarg
        or len(node.decorator_list) > 1
    ):
        return
    taken = _without_context(node.args) if task.is_on(job.project, "takes_context") else node.args
    for site in find_sites(job.project, task):
        given = _given(site)
        wrong = mismatch(taken, given) if given is not None else None
        if wrong is not None:
            message = (
                f"{wrong}: nobody looks when it is enqueued, the task fails with TypeError in the"
                " worker"
            )
            hint = f"the task takes {shown(taken)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, site.place, message, hint)


def _without_context(args: ast.arguments) -> ast.arguments:
    positional = [*args.posonlyargs, *args.args][1:]
    defaults = args.defaults[-len(positional) :] if positional else []
    return ast.arguments([], positional, None, args.kwonlyargs, args.kw_defaults, None, defaults)


def _given(site: Site) -> Given | None:
    if site.call is None:
        return None
    names = [keyword.arg for keyword in site.call.keywords]
    if None in names or any(isinstance(arg, ast.Starred) for arg in site.call.args):
        return None
    return Given(site.call, len(site.call.args), tuple(name for name in names if name))


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the task before the commit; the database backend's row is there with it."""
    backends = find_backends(job.project, job.use, _task(job))
    outside = [one for one in backends if one.path is not None and not one.is_database]
    if not outside or any(one.kind in ("ImmediateBackend", "DummyBackend") for one in outside):
        return
    hint = "transaction.on_commit(partial(ship.enqueue, ...))"
    yield from publishing.publish_in_transaction(job, _published(job), hint)


def _published(job: Job) -> Iterator[tuple[Send, Call]]:
    for site in other_sites(job.project, _task(job)):
        if site.call is not None and not _is_handed(site):
            yield (
                Send("enqueue", site.place, site.how),
                job.project.call_at(site.module, site.call),
            )


def _is_handed(site: Site) -> bool:
    """The call around it is `partial(x.enqueue, ...)`, or the like."""
    return site.call is not None and site.call.func is not site.node


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
    if not isinstance(inner, ast.Name | ast.Attribute) or site_at(call.module, inner) is None:
        return None
    target = job.project.definition(call.module.resolve(inner) or "")
    task = read_task(job.project, target) if target is not None and not target.is_class else None
    return task if task is not None and task.registered is not None else None


def object_argument(job: Job) -> Iterator[Finding]:
    """What JSON cannot carry."""
    for site in find_sites(job.project, _task(job)):
        values = (
            [*site.call.args, *(k.value for k in site.call.keywords)]
            if site.call is not None
            else []
        )
        for node in values:
            what = row_in(job, site.module, node) or _no_json(job, site.module, node)
            if what is not None:
                message = (
                    f"{ast.unparse(node)} is {what}: enqueueing raises TypeError, arguments are"
                    " JSON"
                )
                hint = "send a primary key or a text, and load it in the task"
                yield tell(job, "object-argument", Severity.ERROR, site.place, message, hint)


def _no_json(job: Job, module: Module, node: ast.expr) -> str | None:
    name = job.project.origin(module.resolve(node.func) or "") if isinstance(node, ast.Call) else ""
    return f"no JSON ({name.rpartition('.')[0]})" if name in _NO_JSON else None
