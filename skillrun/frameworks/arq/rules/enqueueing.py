"""Rules about how a job is enqueued: what never arrives, what arrives twice, and what is sent too
early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.arq.policy import keep_result_s
from skillrun.frameworks.arq.wiring import OWN, Site, find_sites, named_sites
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common import publishing
from skillrun.frameworks.common.arguments import Given, mismatch, shown
from skillrun.frameworks.common.facts import call_place, calls_of, seconds, tell
from skillrun.frameworks.common.publishing import row_in
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.interface import Job, Place, Wiring
from skillrun.repo.python import Call, is_known
from skillrun.verdict import Finding, Severity


def _direct(job: Job) -> Iterator[Site]:
    yield from (site for site in find_sites(job.project, job.handler) if site.direct)


def unknown_name(job: Job) -> Iterator[Finding]:
    """The function's own name, where the worker knows it by another."""
    entries = find_entries(job.project, job.handler)
    names = {entry.name for entry in entries}
    if not entries or None in names:
        return
    own = {job.handler.name, job.handler.dotted, job.handler.name.rpartition(".")[2]} - names
    for site, name in named_sites(job.project, job.handler):
        if name in own and not in_tests(site.module.path):
            known = ", ".join(sorted(map(str, names)))
            message = (
                f"no worker knows a function {name!r} (this one is {known}): the job fails as soon"
                " as it is taken"
            )
            yield tell(
                job,
                "unknown-name",
                Severity.ERROR,
                site.place,
                message,
                f"enqueue_job({known!r}, ...)",
            )


def not_awaited(job: Job) -> Iterator[Finding]:
    """A coroutine that nobody awaits does nothing."""
    for site in _direct(job):
        if isinstance(next(site.module.parents(site.call), None), ast.Expr):
            message = f"{site.how} is not awaited: nothing is enqueued"
            yield tell(job, "not-awaited", Severity.ERROR, site.place, message, f"await {site.how}")


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the function does not take."""
    node = job.handler.node
    if isinstance(node, ast.ClassDef) or node.args.vararg or node.args.kwarg or node.decorator_list:
        return
    taken = _without_context(node.args)
    for site in _direct(job):
        given = _given(site.call)
        wrong = mismatch(taken, given) if given is not None else None
        if wrong is not None:
            message = (
                f"{wrong}: arq does not look when it is enqueued, the job fails with TypeError in"
                " the worker"
            )
            hint = f"beside ctx the function takes {shown(taken)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, site.place, message, hint)


def _without_context(args: ast.arguments) -> ast.arguments:
    positional = [*args.posonlyargs, *args.args][1:]
    defaults = args.defaults[-len(positional) :] if positional else []
    return ast.arguments([], positional, None, args.kwonlyargs, args.kw_defaults, None, defaults)


def _given(call: ast.Call) -> Given | None:
    names = [keyword.arg for keyword in call.keywords]
    if None in names or any(isinstance(arg, ast.Starred) for arg in call.args) or not call.args:
        return None
    return Given(
        call, len(call.args) - 1, tuple(name for name in names if name and name not in OWN)
    )


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the job before the commit, or although the transaction is rolled back."""
    yield from publishing.publish_in_transaction(job, _published(job), "enqueue it after the block")


def _published(job: Job) -> Iterator[tuple[Wiring, Call]]:
    for site in find_sites(job.project, job.handler):
        yield Wiring("enqueue", site.place, site.how), job.project.call_at(site.module, site.call)


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that enqueues another job does so once for every run."""
    for call in calls_of(job):
        func = call.node.func
        if (
            not isinstance(func, ast.Attribute)
            or func.attr != "enqueue_job"
            or call.argument(None, "_job_id")
        ):
            continue
        if all(keyword.arg for keyword in call.node.keywords):
            message = (
                f"{ast.unparse(func)}(...) in a job that may run again: each run enqueues once more"
            )
            hint = "_job_id=<made of the job's key>, and let the other job de-duplicate as well"
            yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def dedupe_forgotten(job: Job) -> Iterator[Finding]:
    """The spec keeps its key for longer than arq keeps a job id."""
    entries = find_entries(job.project, job.handler)
    dedupe = job.spec.idempotency.dedupe if job.spec.idempotency else None
    window = dedupe.window if dedupe else None
    kept = keep_result_s(job.project, entries[0]) if entries else 0.0
    if window is None or not is_known(kept) or kept >= window:
        return
    for site in find_sites(job.project, job.handler):
        node = site.option("_job_id")
        if node is not None and not (isinstance(node, ast.Constant) and node.value is None):
            until = (
                f"{seconds(kept)} after it ends (keep_result)"
                if kept
                else "it ends (keep_result is 0)"
            )
            message = (
                f"_job_id keeps a second job out until {until}, and the spec's window is"
                f" {seconds(window)}"
            )
            hint = "remember the key in the handler's own store; _job_id only spares work"
            # Who keeps no result knows that the id holds no longer than the job.
            severity = Severity.WARNING if kept else Severity.NOTE
            yield tell(
                job, "dedupe-forgotten", severity, place_of(site.module, node), message, hint
            )


def none_ignored(job: Job) -> Iterator[Finding]:
    """What enqueue_job says of an id that is in use is thrown away."""
    for site in _direct(job):
        awaited = next(site.module.parents(site.call), None)
        above = next(site.module.parents(awaited), None) if isinstance(awaited, ast.Await) else None
        if site.option("_job_id") is not None and isinstance(above, ast.Expr):
            message = (
                "enqueue_job returns None where a job or a result has this id, and nobody looks:"
                " nothing is enqueued"
            )
            hint = "log it, at least: job = await ...; if job is None: ..."
            yield tell(job, "none-ignored", Severity.NOTE, site.place, message, hint)


def expires_before_retries(job: Job) -> Iterator[Finding]:
    """The job's definition runs out while its retries wait: `job expired`."""
    policy = job.policy
    if policy.max_attempts is None or {"max_attempts", "backoff"} & policy.unknown.keys():
        return
    waits = sum(policy.backoff.delays(policy.max_attempts - 1))
    for site in find_sites(job.project, job.handler):
        node = site.option("_expires")
        value = job.project.literal(node, site.module) if node is not None else 86_400.0
        if isinstance(value, int | float) and 0 < value < waits:
            place = place_of(site.module, node) if node is not None else site.place
            said = (
                f"_expires is {seconds(value)}"
                if node is not None
                else f"a job expires after {seconds(value)}"
            )
            message = (
                f"{said}, and the retries wait for {seconds(waits)}: the last ones find no job any"
                " more"
            )
            yield tell(
                job,
                "expires-before-retries",
                Severity.ERROR,
                place,
                message,
                "a longer _expires, or fewer waits",
            )


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument."""
    for site in find_sites(job.project, job.handler):
        values = [*site.call.args[1:], *(k.value for k in site.call.keywords if k.arg not in OWN)]
        for node in values:
            what = row_in(job, site.module, node)
            if what is not None:
                message = (
                    f"{ast.unparse(node)} is {what}: it is pickled as it is now, and stale when the"
                    " job runs"
                )
                hint = "send its primary key and load it in the job"
                yield tell(job, "object-argument", Severity.WARNING, site.place, message, hint)


def pickle_serializer(job: Job) -> Iterator[Finding]:
    """The default, and what it means."""
    entry = next(iter(find_entries(job.project, job.handler)), None)
    if job.policy.serializer == "pickle" and entry is not None:
        message = (
            "jobs are pickled (arq's default): whoever can write to this Redis runs code in the"
            " worker"
        )
        hint = (
            "job_serializer and job_deserializer (msgpack, json), or a Redis that only this"
            " application reaches"
        )
        place = Place(job.handler.path, job.handler.line)
        yield tell(job, "pickle-serializer", Severity.NOTE, place, message, hint)
