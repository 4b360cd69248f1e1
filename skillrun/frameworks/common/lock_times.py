"""A rule about locks that run out by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import call_place, calls_of, seconds, tell
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call
from skillrun.repo.uses import Place


@dataclass(frozen=True)
class HeldLock:
    """A lock that runs out by itself, and after how many seconds."""

    place: Place
    seconds: float


@rule("lock-ttl", stage="idempotency", source="openedx#1438 (review), python-redis-lock#93")
def lock_ttl(job: Job) -> Iterator[Finding]:
    """A lock that runs out before the job ends, or between its attempts, lets a second run in."""
    yield from find_short_locks(job, list_locks(job))


def find_short_locks(
    job: Job, locks: Iterable[HeldLock], *, over_retries: bool = True
) -> Iterator[Finding]:
    """Those that run out too early. `over_retries`: they are not let go between the attempts."""
    outlasted = list(_must_outlast(job, over_retries))
    for lock in locks:
        for what, longest in outlasted:
            if lock.seconds < longest:
                message = (
                    f"the lock is held for {seconds(lock.seconds)} at most, {what} is"
                    f" {seconds(longest)}: a second delivery gets it too"
                )
                hint = f"hold it for more than {longest:g} s"
                yield tell(job, "lock-ttl", Severity.WARNING, lock.place, message, hint)
                break


def list_locks(job: Job) -> Iterator[HeldLock]:
    """The locks in a cache or in Redis that the handler takes, each with a time that
    can be read.
    """
    for call in calls_of(job):
        ttl = _lock_ttl(job, call)
        if ttl is not None:
            yield HeldLock(call_place(call), ttl)


def _must_outlast(job: Job, over_retries: bool) -> Iterator[tuple[str, float]]:
    if job.policy.time_limit_s is not None:
        yield "the time limit of the task", job.policy.time_limit_s
    if not over_retries:
        return
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
    return as_seconds(value)


def as_seconds(value: object) -> float | None:
    """What was read of a time: a number of seconds, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
