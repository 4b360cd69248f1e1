"""Rules about how a job is queued or scheduled: what never runs, what arrives broken, and what is
queued twice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.arguments import Given, mismatch, shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.guards import tests_before
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.django_q2.again import find_again
from skillrun.frameworks.django_q2.cluster import read_cluster
from skillrun.frameworks.django_q2.sites import (
    OPTIONS,
    SCHEDULE,
    SCHEDULE_OPTIONS,
    Site,
    published,
    real_sites,
    style_of,
)
from skillrun.frameworks.interface import Job, Place, Send
from skillrun.verdict import Finding, Severity

_PLAIN = ("async_task", SCHEDULE)
_NO_LITERALS = ("datetime.", "django.utils.timezone.", "decimal.Decimal", "uuid.")


def _direct(job: Job) -> Iterator[Site]:
    """The calls whose further arguments are the function's."""
    yield from (
        site
        for site in real_sites(job.project, job.handler)
        if site.direct and site.style in _PLAIN
    )


def _own(site: Site) -> frozenset[str]:
    return SCHEDULE_OPTIONS if site.style == SCHEDULE else OPTIONS


def never_runs(job: Job) -> Iterator[Finding]:
    """Calling it makes a coroutine or a generator, and nobody goes on with that."""
    node, place = job.handler.node, Place(job.handler.path, job.handler.line)
    if job.handler.decorators:
        return
    if isinstance(node, ast.AsyncFunctionDef):
        message = (
            f"{job.handler.name} is a coroutine function: Django Q2 calls it and awaits nothing"
        )
        hint = "def, with asgiref.sync.async_to_sync around what is asynchronous"
        yield tell(job, "never-runs", Severity.ERROR, place, message, hint)
    elif isinstance(node, ast.FunctionDef) and _yields(node):
        message = (
            f"{job.handler.name} is a generator function: Django Q2 calls it and runs none of it"
        )
        yield tell(
            job, "never-runs", Severity.ERROR, place, message, "return what it makes, or nothing"
        )


def _yields(function: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def unknown_name(job: Job) -> Iterator[Finding]:
    """A text that ends in the handler's name, and names nothing."""
    for module, call, style in published(job.project):
        first = call.args[0] if call.args and style != "row" else None
        text = job.project.literal(first, module) if first is not None else None
        if (
            not isinstance(text, str)
            or in_tests(module.path)
            or text.replace(":", ".").rpartition(".")[2] != job.handler.name
        ):
            continue
        package = job.handler.dotted.partition(".")[0]
        unknown = job.project.lookup(text) is None and text.partition(".")[0] in (
            package,
            job.handler.name,
        )
        if unknown or ":" in text:
            message = f"{text} names no function: each run fails with ValueError"
            hint = f'"{job.handler.dotted}"'
            yield tell(job, "unknown-name", Severity.ERROR, place_of(module, call), message, hint)


def option_taken(job: Job) -> Iterator[Finding]:
    """A keyword that the function takes, and Django Q2 as well."""
    for site in _direct(job):
        for name in sorted(
            {keyword.arg for keyword in site.call.keywords if keyword.arg} & _own(site)
        ):
            if name in job.handler.parameters:
                message = f"{name}= is an option of {site.how}: the function never sees it"
                hint = "give it by position, or name the parameter otherwise"
                yield tell(job, "option-taken", Severity.ERROR, site.place, message, hint)


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the function does not take."""
    node = job.handler.node
    if isinstance(node, ast.ClassDef) or node.args.vararg or node.args.kwarg or node.decorator_list:
        return
    for site in _direct(job):
        given = _given(site)
        wrong = mismatch(node.args, given) if given is not None else None
        if wrong is not None:
            message = (
                f"{wrong}: Django Q2 does not look when it is queued, the job fails with TypeError"
                " in the worker"
            )
            hint = f"the function takes {shown(node.args)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, site.place, message, hint)


def _given(site: Site) -> Given | None:
    names = [keyword.arg for keyword in site.call.keywords]
    if (
        None in names
        or any(isinstance(arg, ast.Starred) for arg in site.call.args)
        or not site.call.args
    ):
        return None
    return Given(
        site.call,
        len(site.call.args) - 1,
        tuple(name for name in names if name and name not in _own(site)),
    )


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """The ORM broker's own row is part of the transaction, where that is of the same database."""
    cluster = read_cluster(job.project, job.use)
    if cluster.broker in ("", "orm"):
        return
    sites = (
        (Send("enqueue", s.place, s.how), job.project.call_at(s.module, s.call))
        for s in _direct(job)
    )
    yield from publishing.publish_in_transaction(
        job, sites, "transaction.on_commit, or the ORM broker"
    )


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that queues another job does so once for every run."""
    own = {one.site.call for one in find_again(job.project, job.handler)}
    for call in calls_of(job):
        if call.node in own or style_of(job.project, call.module, call.node) is None:
            continue
        message = (
            f"{ast.unparse(call.node.func)}(...) in a job that may run again: each run queues once"
            " more"
        )
        hint = "let the other job de-duplicate by a key among its arguments"
        yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def scheduled_at_start(job: Job) -> Iterator[Finding]:
    """Created where a module is imported, or in `AppConfig.ready`."""
    for site in real_sites(job.project, job.handler):
        around = site.module.function_of(site.call)
        name = ast.unparse(site.call.func)
        at_start = around is None or around.name == "ready"
        asked = any(
            "Schedule" in ast.unparse(test) for test, _ in tests_before(site.module, site.call)
        )
        if (
            site.kind != "schedule"
            or not at_start
            or asked
            or name.endswith(("get_or_create", "update_or_create"))
        ):
            continue
        message = (
            "this makes another row of Schedule at each start of each process: the job runs that"
            " many times"
        )
        hint = "Schedule.objects.update_or_create(name=..., defaults={...}), in a migration"
        yield tell(job, "scheduled-at-start", Severity.ERROR, site.place, message, hint)


def object_argument(job: Job) -> Iterator[Finding]:
    """A row of a model among the arguments."""
    for site in _direct(job):
        named = [
            keyword.value
            for keyword in site.call.keywords
            if keyword.arg and keyword.arg not in _own(site)
        ]
        for node in (*site.call.args[1:], *named):
            row = row_in(job, site.module, node)
            if row is not None:
                message = (
                    f"{ast.unparse(node)} is {row}: it is pickled as it is now, and stale when the"
                    " job runs"
                )
                yield tell(
                    job, "object-argument", Severity.WARNING, site.place, message, "give its id"
                )
                break


def schedule_argument(job: Job) -> Iterator[Finding]:
    """What is no literal once it is text: a date, a Decimal, a row."""
    for site in _direct(job):
        if site.style != SCHEDULE:
            continue
        named = [
            keyword.value
            for keyword in site.call.keywords
            if keyword.arg and keyword.arg not in _own(site)
        ]
        for node in (*site.call.args[1:], *named):
            made = site.module.resolve(node) if isinstance(node, ast.Call | ast.Name) else None
            origin = job.project.origin((made or "").removesuffix("()"))
            if row_in(job, site.module, node) is not None or (
                origin.startswith(_NO_LITERALS) and "()" not in origin
            ):
                message = (
                    f"{ast.unparse(node)} is no literal once it is text: the scheduler stops at it,"
                    " for every schedule"
                )
                hint = "give an id, a number or a text, e.g. when.isoformat()"
                yield tell(job, "schedule-argument", Severity.ERROR, site.place, message, hint)
                break
