"""A rule about locks that run out by themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import call_place, calls_of, seconds, tell
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call
from skillrun.repo.syntax import find_nodes, name_method
from skillrun.repo.uses import Place

# Of a lock itself, and of the key in a cache or in Redis that stands for one.
_RELEASES = ("release", "delete", "unlink", "delete_many")


@dataclass(frozen=True)
class HeldLock:
    """A lock that runs out by itself, and after how many seconds; whether each attempt lets it
    go.
    """

    place: Place
    seconds: float
    let_go: bool = False


@rule("lock-ttl", stage="idempotency", source="openedx#1438 (review), python-redis-lock#93")
def lock_ttl(job: Job) -> Iterator[Finding]:
    """A lock that runs out before the job ends, or between its attempts, lets a second run in."""
    yield from find_short_locks(job, list_locks(job))


def find_short_locks(job: Job, locks: Iterable[HeldLock]) -> Iterator[Finding]:
    """Those that run out too early: within an attempt, or between two where they are kept."""
    for lock in locks:
        for what, longest in _must_outlast(job, over_retries=not lock.let_go):
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
            yield HeldLock(call_place(call), ttl, _is_let_go(call))


def _is_let_go(call: Call) -> bool:
    """The lock of a `with`, or one whose function lets it go in a `finally`: the next attempt takes
    it anew.
    """
    function = call.module.function_of(call.node)
    if function is None:
        return False
    given = {ast.unparse(call.node)}
    for assigned in find_nodes(function, ast.Assign):
        if assigned.value is call.node:
            given.update(map(ast.unparse, assigned.targets))
    entered = {ast.unparse(item.context_expr) for item in find_nodes(function, ast.withitem)}
    return not given.isdisjoint(entered) or _lets_go_finally(function)


def _lets_go_finally(function: ast.AST) -> bool:
    for attempt in find_nodes(function, ast.Try):
        ending = ast.Module(attempt.finalbody, [])
        if any(name_method(call) in _RELEASES for call in find_nodes(ending, ast.Call)):
            return True
    return False


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
