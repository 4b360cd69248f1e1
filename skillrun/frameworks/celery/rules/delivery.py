"""Rules about what the broker does with a message: visibility timeouts, acknowledgement,
redelivery.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.config import broker_transport
from skillrun.frameworks.celery.rules.facts import retries_of, say, task_of
from skillrun.frameworks.celery.sends import SENDER
from skillrun.frameworks.common.facts import at, calls_of, known, seconds
from skillrun.frameworks.common.send_rules import find_real_sends
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import Place


@rule(
    "celery.visibility-timeout",
    stage="retry",
    source=(
        "celery/kombu#337, celery/celery#2599, #2481, #3270; visibility_timeout in"
        " kombu/transport/redis.py and SQS"
    ),
)
def visibility_timeout(job: Job) -> Iterator[Finding]:
    """A message that waits (countdown, eta, backoff) beyond the visibility timeout of Redis or SQS
    runs several times.
    """
    limit = job.policy.visibility_timeout_s
    if limit is None or "visibility_timeout_s" in job.policy.unknown:
        return
    broker = broker_transport(task_of(job).config, job.use)
    for what, delay, place in _list_delays(job):
        if delay >= limit:
            message = (
                f"{what} is {seconds(delay)}, the visibility timeout of {broker} is"
                f" {seconds(limit)}: a message that waits so long is handed to other workers again"
                " and runs more than once"
            )
            hint = (
                "set broker_transport_options visibility_timeout above the longest wait, or shorten"
                " the wait"
            )
            yield say("visibility-timeout", Severity.ERROR, at(job, place), message, hint)
    yield from _long_runs(job, limit)


def _list_delays(job: Job) -> Iterator[tuple[str, float, Place | None]]:
    """Every wait that can be read: before retries, and asked for by publishers."""
    for path in retries_of(job).paths:
        if path.backoff is not None:
            retries = 50
            if isinstance(path.max_retries, int):
                retries = path.max_retries
            longest = max(path.backoff.delays(min(retries, 50)), default=0.0)
            yield "the longest wait before a retry", longest, path.backoff_place or path.place
    for send in find_real_sends(job, SENDER):
        delay = _asked_delay(job, send)
        if delay is not None:
            yield "the wait asked for here", delay, send.place


def _asked_delay(job: Job, send: Send) -> float | None:
    """`countdown=...`, or the timedelta in `eta=now() + timedelta(...)`."""
    asked = send.option("countdown")
    countdown = None
    if asked is not None:
        countdown = job.project.literal(*asked)
    if isinstance(countdown, int | float) and not isinstance(countdown, bool):
        return float(countdown)
    due = send.option("eta")
    if due is None or not isinstance(due[0], ast.BinOp) or not isinstance(due[0].op, ast.Add):
        return None
    for side in (due[0].left, due[0].right):
        value = job.project.literal(side, due[1])
        if isinstance(value, int | float):
            return float(value)
    return None


def _long_runs(job: Job, limit: float) -> Iterator[Finding]:
    time_limit = job.policy.time_limit_s
    if job.policy.acks_late and time_limit is not None and time_limit >= limit:
        message = (
            f"the task may run for {seconds(time_limit)} and is acknowledged only then, but after"
            f" {seconds(limit)} the broker delivers it to another worker"
        )
        place = at(job, job.policy.sources.get("time_limit_s"))
        yield say(
            "visibility-timeout",
            Severity.WARNING,
            place,
            message,
            "raise visibility_timeout above the time limit",
        )


@rule(
    "celery.acks-late-worker-lost",
    stage="retry",
    source="celery/celery#1628; Task.reject_on_worker_lost in celery/app/task.py",
)
def acks_late_worker_lost(job: Job) -> Iterator[Finding]:
    """acks_late does not save a job whose process is killed: Celery acknowledges it unless
    reject_on_worker_lost is set.
    """
    policy = job.policy
    if (
        not policy.acks_late
        or policy.reject_on_worker_lost
        or {"acks_late", "reject_on_worker_lost"} & policy.unknown.keys()
    ):
        return
    if known(task_of(job).option("retry_on_worker_lost")):
        return
    message = (
        "acks_late without reject_on_worker_lost: when the child process is killed (out of memory,"
        " kill -9), Celery acknowledges the message and the job is gone"
    )
    hint = (
        "set reject_on_worker_lost=True and bound the deliveries, or retry_on_worker_lost=True"
        " (Celery 5.7)"
    )
    yield say(
        "acks-late-worker-lost",
        Severity.WARNING,
        at(job, policy.sources.get("acks_late")),
        message,
        hint,
    )


@rule(
    "celery.redelivery-loop",
    stage="dead-letter",
    source=(
        "OasisLMF/OasisPlatform#975; the warning at Task.reject_on_worker_lost in"
        " celery/app/task.py"
    ),
)
def redelivery_loop(job: Job) -> Iterator[Finding]:
    """With acks_late and reject_on_worker_lost a job that kills its worker comes back without end:
    max_retries does not count deliveries.
    """
    policy = job.policy
    if not (policy.acks_late and policy.reject_on_worker_lost) or _deliveries_bounded(job):
        return
    message = (
        "acks_late with reject_on_worker_lost: a message that kills its worker is delivered again"
        " without end, because max_retries does not count deliveries"
    )
    hint = (
        "bound the deliveries: a quorum queue with x-delivery-limit, retry_on_worker_lost=True"
        " (Celery 5.7), or a counter of your own where delivery_info['redelivered'] is set"
    )
    place = at(job, policy.sources.get("reject_on_worker_lost"))
    yield say("redelivery-loop", Severity.WARNING, place, message, hint)


def _deliveries_bounded(job: Job) -> bool:
    if known(task_of(job).option("retry_on_worker_lost")):
        return True
    if job.project.tree.search("x-delivery-limit") or job.project.tree.search("x-delivery-count"):
        return True
    for body in _list_bodies(job):
        if {"delivery_info", "redelivered"} & {
            node.attr for node in find_nodes(body, ast.Attribute)
        }:
            return True
        if any(node.value == "redelivered" for node in find_nodes(body, ast.Constant)):
            return True
    return False


def _list_bodies(job: Job) -> Iterator[ast.AST]:
    """The handler, and what it calls on the way to something else."""
    for part in job.project.callables(job.handler):
        yield part.node
    for call in calls_of(job):
        for name in call.via:
            found = job.project.definition(name)
            if found is not None:
                yield found.node


@rule(
    "celery.always-eager",
    stage="handler",
    source="task_always_eager in Celery's configuration reference",
)
def always_eager(job: Job) -> Iterator[Finding]:
    """With task_always_eager the job runs inside its caller: slow, not retried by a worker, lost
    with the request.

    task_always_eager outside the tests: whoever publishes waits for the job.
    """
    found = task_of(job).config.get("task_always_eager")
    if (
        found is None
        or found.value is not True
        or found.place is None
        or _for_tests(job, found.place)
    ):
        return
    message = (
        "task_always_eager is on: the job runs inside its caller, without broker, worker, or second"
        " delivery"
    )
    yield say(
        "always-eager",
        Severity.WARNING,
        found.place,
        message,
        "set it in the tests' configuration only",
    )


def _for_tests(job: Job, place: Place) -> bool:
    """A settings file for tests, or a line under a condition."""
    module = job.project.module(place.path)
    words = place.path.removesuffix(".py").replace("/", "_").replace("-", "_").split("_")
    if module is None or {"test", "tests", "testing"} & set(words):
        return True
    inside = module.nodes(ast.If)
    return any(node.lineno <= place.line <= (node.end_lineno or 0) for node in inside)
