"""Rules about how a job is enqueued: reserved names, keys that keep nothing out, pickle."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_given_arguments
from skillrun.frameworks.interface import Job, Place
from skillrun.frameworks.rq.sends import EXPLICIT, SENDER, find_parameters, reserved_names
from skillrun.repo.source import last_word
from skillrun.verdict import Finding, Severity


def reserved_argument(job: Job) -> Iterator[Finding]:
    """An argument of the function with a name that RQ keeps for itself."""
    for send, call, _ in find_given_arguments(job, SENDER):
        names = set(call.keywords)
        if last_word(call.node.func) in EXPLICIT or names & {"args", "kwargs"}:
            continue
        for name in sorted(set(job.handler.parameters) & reserved_names(send) & names):
            message = f"RQ takes {name} for itself: {job.handler.name} never gets it"
            severity = Severity.ERROR if name in _find_needed(job) else Severity.WARNING
            hint = "pass it with kwargs={...}, or rename the parameter"
            yield tell(job, "reserved-argument", severity, send.place, message, hint)


def _find_needed(job: Job) -> tuple[str, ...]:
    """The parameters without a default."""
    args = find_parameters(job)
    if args is None:
        return ()
    plain = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    return tuple(plain[: len(plain) - len(args.defaults)])


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
    for _, call, _ in find_given_arguments(job, SENDER):
        node = call.keywords.get("job_id")
        unique = call.keywords.get("unique")
        if node is not None and unique is None and not isinstance(node, ast.Constant):
            message = (
                "job_id keeps no second job out: without unique=True the same id is queued again"
            )
            hint = (
                "unique=True, and a key in the handler too: the id is free again once the result"
                " has expired"
            )
            place = place_of(call.module, node)
            yield tell(job, "job-id-no-dedupe", Severity.NOTE, place, message, hint)


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
