"""Rules about sending: arguments that become options, and a limiter that runs out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.arguments import shown
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.dramatiq.actors import read_actor
from skillrun.frameworks.dramatiq.sends import (
    SENDER,
    find_message_sends,
    find_parameters,
    find_stray,
)
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Module
from skillrun.repo.syntax import find_keyword


@rule(
    "dramatiq.wrong-arguments",
    stage="handler",
    source="Actor.send and send_with_options in dramatiq/actor.py",
)
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Sending compares nothing with the actor's signature: a wrong call fails in the worker, at
    every attempt.

    A literal call that leaves out an argument, gives one that is not taken, or gives it as an
    option: only the worker notices.
    """
    taken = find_parameters(job)
    if taken is None:
        return
    for send in find_message_sends(job.project, read_actor(job.project, job.handler)):
        if send.only_built:
            stray = []
        else:
            stray = find_stray(job.handler, send.options)
        if stray:
            message = f"{', '.join(stray)} is given as an option, not in kwargs: {SENDER.misfit}"
            hint = f"{SENDER.taker} {shown(taken)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, send.place, message, hint)
    yield from send_rules.wrong_arguments(job, SENDER)


def _is_limiter(call: Call) -> bool:
    return call.origin.endswith("ConcurrentRateLimiter.acquire")


@rule(
    "dramatiq.limiter-ttl",
    stage="idempotency",
    source="openedx#1438 (review); dramatiq/rate_limits/concurrent.py",
)
def limiter_ttl(job: Job) -> Iterator[Finding]:
    """A ConcurrentRateLimiter lets the next one in once its ttl is over, whether or not the holder
    is done.

    A ConcurrentRateLimiter forgets its holder after `ttl` (15 min by default), also while the job
    still runs.
    """
    limit = job.policy.time_limit_s
    if limit is None or "time_limit_s" in job.policy.unknown:
        return
    for call in calls_of(job):
        made = None
        if _is_limiter(call):
            made = _find_limiter(job, call)
        if made is None:
            continue
        node, module = made
        given = find_keyword(node, "ttl")
        ttl = 900_000
        if given is not None:
            ttl = job.project.literal(given, module)
        if isinstance(ttl, int | float) and ttl / 1000 < limit:
            message = (
                f"the limiter's ttl is {ttl / 1000:g} s, the time limit {limit:g} s: a second job"
                " gets in meanwhile"
            )
            yield tell(
                job,
                "limiter-ttl",
                Severity.WARNING,
                call_place(call),
                message,
                f"ttl above {limit * 1000:g}",
            )


def _find_limiter(job: Job, call: Call) -> tuple[ast.Call, Module] | None:
    """Where the limiter is made: a variable of a module, or the expression itself."""
    func = call.node.func
    owner = None
    if isinstance(func, ast.Attribute):
        owner = func.value
    if isinstance(owner, ast.Call):
        return owner, call.module
    name = None
    if owner is not None:
        name = call.module.resolve(owner)
    found = None
    if name:
        found = job.project.lookup(name.removesuffix("()"))
    value = None
    if found and found.binding:
        value = found.binding.value
    if found and found.module and isinstance(value, ast.Call):
        return (value, found.module)
    return None


@rule(
    "dramatiq.send-in-transaction",
    stage="handler",
    rests_on="setup",
    source="saleor#5457, sentry#89284, zamboni#1307",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A message sent inside a transaction can be worked on before the commit, or although it is
    rolled back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "dramatiq.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420, osidb#682; Dramatiq's best practices",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument cannot be sent as JSON, and as pickle it is stale when the job
    runs.
    """
    return send_rules.object_argument(job, SENDER)


@rule("dramatiq.pickle-encoder", stage="contract", source="PickleEncoder in dramatiq/encoder.py")
def pickle_serializer(job: Job) -> Iterator[Finding]:
    """pickle lets whoever writes to the broker run code in the worker, and breaks queued jobs when
    a class moves.
    """
    return send_rules.pickle_serializer(job, SENDER)


@rule(
    "dramatiq.send-again",
    stage="idempotency",
    source="posthog#62708 (review): an un-keyed message in something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that sends another one does so again on every redelivery and attempt."""
    return send_rules.publish_unkeyed(job, SENDER)
