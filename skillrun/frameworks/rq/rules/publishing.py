"""Rules about how a job is enqueued: reserved names, keys that keep nothing out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_given_arguments
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rq.sends import EXPLICIT, SENDER, find_parameters, reserved_names
from skillrun.frameworks.rulebook import rule
from skillrun.repo.source import last_word


@rule("rq.reserved-argument", stage="handler", source="Queue.parse_args in rq/queue.py")
def reserved_argument(job: Job) -> Iterator[Finding]:
    """enqueue takes some names for itself (description, meta, ttl, timeout, ...): the function
    never gets them.
    """
    for send, call, _ in find_given_arguments(job, SENDER):
        names = set(call.keywords)
        if last_word(call.node.func) in EXPLICIT or names & {"args", "kwargs"}:
            continue
        for name in sorted(set(job.handler.parameters) & reserved_names(send) & names):
            message = f"RQ takes {name} for itself: {job.handler.name} never gets it"
            if name in _find_needed(job):
                severity = Severity.ERROR
            else:
                severity = Severity.WARNING
            hint = "pass it with kwargs={...}, or rename the parameter"
            yield tell(job, "reserved-argument", severity, send.place, message, hint)


def _find_needed(job: Job) -> tuple[str, ...]:
    """The parameters without a default."""
    args = find_parameters(job)
    if args is None:
        return ()
    plain = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    return tuple(plain[: len(plain) - len(args.defaults)])


@rule(
    "rq.job-id-no-dedupe",
    stage="idempotency",
    source="unique in Queue.enqueue_call, rq/queue.py",
)
def job_id_no_dedupe(job: Job) -> Iterator[Finding]:
    """job_id alone keeps no second job out: without unique=True the same id is queued twice.

    An id of the caller's own, which looks like a key and is none.
    """
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


@rule("rq.wrong-arguments", stage="handler", source="Queue.enqueue in rq/queue.py")
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """RQ does not compare arguments with the function: a wrong call is found by the worker, and is
    retried.
    """
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "rq.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source="saleor#5457, sentry#89284, ui/django-rq#187",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A job enqueued inside a transaction can run before the commit, or although it
    is rolled back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule("rq.publish-unkeyed", stage="idempotency", source="posthog#62708 (review)")
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that enqueues another one does so again in every attempt."""
    return send_rules.publish_unkeyed(job, SENDER)


@rule(
    "rq.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420, osidb#682",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument is pickled as it was when it was sent, and is stale when the
    job runs.
    """
    return send_rules.object_argument(job, SENDER)


@rule(
    "rq.pickle-serializer",
    stage="contract",
    source="rq/serializers.py; RQ's documentation, Security considerations",
)
def pickle_serializer(job: Job) -> Iterator[Finding]:
    """RQ pickles jobs by default: whoever can write to Redis runs code in the worker."""
    return send_rules.pickle_serializer(job, SENDER)
