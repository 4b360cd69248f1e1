"""A rule about locks that run out by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import call_place, calls_of, seconds, tell
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call


@rule("lock-ttl", stage="idempotency", source="openedx#1438 (review), python-redis-lock#93")
def lock_ttl(job: Job) -> Iterator[Finding]:
    """A lock that runs out before the job ends, or between its attempts, lets a second run in."""
    for call in calls_of(job):
        ttl = _lock_ttl(job, call)
        if ttl is None:
            continue
        for what, longest in _must_outlast(job):
            if ttl < longest:
                message = (
                    f"the lock is held for {seconds(ttl)} at most, {what} is"
                    f" {seconds(longest)}: a second delivery gets it too"
                )
                yield tell(
                    job,
                    "lock-ttl",
                    Severity.WARNING,
                    call_place(call),
                    message,
                    f"hold it for more than {longest:g} s",
                )
                break


def _must_outlast(job: Job) -> Iterator[tuple[str, float]]:
    if job.policy.time_limit_s is not None:
        yield "the time limit of the task", job.policy.time_limit_s
    attempts = job.policy.max_attempts
    if attempts is not None and attempts > 1 and "backoff" not in job.policy.unknown:
        yield "the time over all retries", sum(job.policy.backoff.delays(attempts - 1))


def _lock_ttl(job: Job, call: Call) -> float | None:
    """The literal seconds of `cache.add`, `cache.lock`, `redis.lock` and `redis.set(nx=True,
    ex=...)`.
    """
    word = call.origin.rpartition(".")[2]
    literal = job.project.literal
    if word == "add" and "cache" in call.origin:
        value = literal(call.argument(2, "timeout"), call.module)
    elif word == "lock" and ("cache" in call.origin.lower() or "redis" in call.origin.lower()):
        value = literal(call.argument(1, "timeout"), call.module)
    elif word == "set" and literal(call.keywords.get("nx"), call.module) is True:
        px = literal(call.keywords.get("px"), call.module)
        if isinstance(px, int):
            value = px / 1000
        else:
            value = literal(call.argument(2, "ex"), call.module)
    else:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
