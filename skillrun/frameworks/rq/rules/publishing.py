"""Rules about how a job is enqueued: too early, with arguments that never arrive, without a key."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.arguments import Given, count_in, mismatch, names_in, shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.publishing import publish_in_transaction, row_in
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job, Place, Wiring
from skillrun.frameworks.rq.sites import ENQUEUE, Site, real_sites
from skillrun.repo.python import Call
from skillrun.verdict import Finding, Severity

_EXPLICIT = (
    "enqueue_call",
    "prepare_data",
    "create_job",
)  # take args= and kwargs=, nothing else for the function
_OF_RQ = """job_timeout description result_ttl ttl failure_ttl depends_on job_id at_front meta retry repeat on_success
    on_failure on_stopped rate_limit webhooks pipeline unique args kwargs"""
_RESERVED = frozenset(_OF_RQ.split())
_RESERVED_BY_TASKS = frozenset({"depends_on", "job_id", "at_front"})


def _calls(job: Job) -> Iterator[tuple[Site, ast.Call, str]]:
    """(site, call, method) of every place whose call goes to RQ itself, with all its arguments."""
    for site in real_sites(job.project, job.handler):
        node = site.node
        method = (
            node.func.attr
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            else ""
        )
        if not site.direct or not isinstance(node, ast.Call):
            continue
        if site.style == "queue" and method in ENQUEUE:
            yield site, node, method
        elif site.style == "task" and method in ("delay", "enqueue"):
            yield site, node, "task"


def _taken(method: str) -> frozenset[str]:
    return _RESERVED_BY_TASKS if method == "task" else _RESERVED


def reserved_argument(job: Job) -> Iterator[Finding]:
    """An argument of the function with a name that RQ keeps for itself."""
    for site, call, method in _calls(job):
        names = {keyword.arg for keyword in call.keywords}
        if method in _EXPLICIT or names & {"args", "kwargs"}:
            continue
        for name in sorted(set(job.handler.parameters) & _taken(method) & names):
            needed = name in _needed(job)
            message = f"RQ takes {name} for itself: {job.handler.name} never gets it"
            severity = Severity.ERROR if needed else Severity.WARNING
            hint = "pass it with kwargs={...}, or rename the parameter"
            yield tell(job, "reserved-argument", severity, site.place, message, hint)


def _needed(job: Job) -> tuple[str, ...]:
    args = _parameters(job)
    plain = [a.arg for a in (*args.posonlyargs, *args.args)] if args else []
    return tuple(plain[: len(plain) - len(args.defaults)] if args else ())


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the function does not take."""
    taken = _parameters(job)
    for site, call, method in _calls(job) if taken is not None else ():
        given = _given(call, method)
        wrong = mismatch(taken, given) if given is not None and taken is not None else None
        if (
            wrong is not None
            and taken is not None
            and not set(job.handler.parameters) & _taken(method)
        ):
            message = (
                f"{wrong}: RQ does not look at enqueue time, every attempt fails with TypeError in"
                " the worker"
            )
            hint = f"the function takes {shown(taken)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, site.place, message, hint)


def _parameters(job: Job) -> ast.arguments | None:
    """None where `*args`, `**kwargs`, a class or another decorator hides them."""
    node = job.handler.node
    if (
        isinstance(node, ast.ClassDef)
        or node.args.vararg
        or node.args.kwarg
        or len(node.decorator_list) > 1
    ):
        return None
    return None if job.handler.module.class_of(node) else node.args


def _given(call: ast.Call, method: str) -> Given | None:
    """The function's arguments; None where they are not written out."""
    names = [keyword.arg for keyword in call.keywords]
    if None in names or any(isinstance(arg, ast.Starred) for arg in call.args):
        return None
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    if method in _EXPLICIT or {"args", "kwargs"} & options.keys():
        args = call.args[1] if method in _EXPLICIT and len(call.args) > 1 else options.get("args")
        kwargs = (
            call.args[2] if method in _EXPLICIT and len(call.args) > 2 else options.get("kwargs")
        )
        count, given = count_in(args), names_in(kwargs)
        return None if count is None or given is None else Given(call, count, given)
    skipped = 0 if method == "task" else ENQUEUE[method] + 1
    ours = tuple(
        name for name in names if name and name not in _taken(method) and name not in ("func", "f")
    )
    return Given(call, max(len(call.args) - skipped, 0), ours)


def publish_early(job: Job) -> Iterator[Finding]:
    """django-rq may wait for the commit by itself (COMMIT_MODE), so it is left out."""
    if any(True for _ in job.project.modules_with("django_rq")):
        return
    yield from publish_in_transaction(
        job, _published(job), "enqueue after the block, or in transaction.on_commit"
    )


def _published(job: Job) -> Iterator[tuple[Wiring, Call]]:
    for site, call, _ in _calls(job):
        yield next(site.wirings), job.project.call_at(site.module, call)


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that enqueues another job does so once for every attempt."""
    for call in calls_of(job) if job.policy.max_attempts != 1 else ():
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr not in (
            "enqueue",
            "enqueue_call",
            "enqueue_in",
            "enqueue_at",
        ):
            continue
        if call.argument(None, "job_id") is None and all(
            keyword.arg for keyword in call.node.keywords
        ):
            message = (
                f"{ast.unparse(func)}(...) in a job that may run again: each run enqueues once"
                " more, without a job_id"
            )
            hint = (
                "job_id=<derived from the job's key>, unique=True, and let the receiver"
                " de-duplicate"
            )
            yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def job_id_no_dedupe(job: Job) -> Iterator[Finding]:
    """An id of the caller's own, which looks like a key and is none."""
    for site, call, _ in _calls(job):
        node = next((k.value for k in call.keywords if k.arg == "job_id"), None)
        unique = next((k.value for k in call.keywords if k.arg == "unique"), None)
        if node is not None and unique is None and not isinstance(node, ast.Constant):
            message = (
                "job_id keeps no second job out: without unique=True the same id is queued again"
            )
            hint = (
                "unique=True, and a key in the handler too: the id is free again once the result"
                " has expired"
            )
            yield tell(
                job, "job-id-no-dedupe", Severity.NOTE, place_of(site.module, node), message, hint
            )


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument."""
    for site, call, method in _calls(job):
        for node in _values(call, method):
            what = row_in(job, site.module, node)
            if what is not None:
                pickled = job.policy.serializer == "pickle"
                then = (
                    "it will be stale when the job runs"
                    if pickled
                    else "JSON cannot carry it: enqueueing raises"
                )
                message = f"{ast.unparse(node)} is {what}, given to {site.how}: {then}"
                severity = Severity.WARNING if pickled else Severity.ERROR
                hint = "send its primary key and load it in the job"
                yield tell(job, "object-argument", severity, site.place, message, hint)


def _values(call: ast.Call, method: str) -> Iterator[ast.expr]:
    """What reaches the function."""
    yield from call.args
    for keyword in call.keywords:
        if keyword.arg == "args" and isinstance(keyword.value, ast.List | ast.Tuple):
            yield from keyword.value.elts
        elif keyword.arg == "kwargs" and isinstance(keyword.value, ast.Dict):
            yield from keyword.value.values
        elif keyword.arg not in _taken(method):
            yield keyword.value


def pickle_serializer(job: Job) -> Iterator[Finding]:
    """The default, and what it means."""
    if job.policy.serializer == "pickle":
        message = (
            "jobs are pickled (RQ's default): whoever can write to Redis runs code in the worker"
        )
        sources = job.policy.sources
        place = sources.get("serializer") or Place(job.handler.path, job.handler.line)
        hint = "serializer=JSONSerializer for queue and worker, where the arguments allow it"
        yield tell(job, "pickle-serializer", Severity.NOTE, place, message, hint)
