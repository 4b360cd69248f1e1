"""What people get wrong with SAQ."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.again import taking, tries_itself
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import effect_calls, seconds, spec_name, tell
from skillrun.frameworks.common.listed_sends import find_parameters
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import declare_send_rules, find_real_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.saq.attempts import find_ways
from skillrun.frameworks.saq.policy import (
    TTL_S,
    ends_job,
    find_record,
    read_attempts,
    read_option,
)
from skillrun.frameworks.saq.sends import SENDER
from skillrun.repo.python import is_known


def _expects_record(job: Job) -> bool:
    return job.spec.dead_letter is not None and job.spec.dead_letter.kind in ("table", "queue")


@rule(
    "saq.retries-below-spec",
    stage="retry",
    rests_on="setup",
    source="`retries: int = 1` in saq/job.py, `retryable` there",
)
def retries_below_spec(job: Job) -> Iterator[Finding]:
    """SAQ runs a job once unless who enqueues it gives more retries; the first run counts."""
    retry = job.spec.retry
    wanted = retry.max_attempts if retry is not None and retry.kind is None else None
    for send in find_real_sends(job, SENDER):
        most = read_attempts(job.project, send)
        # A cron job that enqueues the job says nothing of its attempts.
        if wanted is None or (send.call is None and not send.options) or not is_known(most):
            continue
        if most < wanted:
            given = send.option("retries")
            place = place_of(given[1], given[0]) if given else send.place
            by_default = "" if given else " by default"
            message = f"retries is {most}{by_default}, and the spec asks for {wanted} attempts"
            hint = f"retries={wanted + 5}: it counts the first attempt, and a death uses one up"
            yield tell(job, "retries-below-spec", Severity.ERROR, place, message, hint)


@rule(
    "saq.permanent-retried", stage="retry", source="`except Exception` in `process`, saq/worker.py"
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """SAQ runs a job again whatever exception it raises: a permanent one has to be caught."""
    failures = job.spec.failures
    if job.policy.max_attempts == 1:
        return
    for written in dict.fromkeys(error.type for error in (failures.permanent if failures else ())):
        bases = ancestors(job.project, short(spec_name(job, written)))
        for call in effect_calls(job):
            clause = taking(call, bases)
            if tries_itself(job.project, call) or (clause is not None and ends_job(clause)):
                continue
            place = place_of(call.module, call.node)
            if clause is not None:
                place = place_of(clause.module, clause.node)
            message = (
                f"{written} is permanent in the spec, and leaves the handler: SAQ runs it again"
            )
            hint = "a clause of its own: record it, and return"
            yield tell(job, "permanent-retried", Severity.ERROR, place, message, hint)
            break


@rule("saq.swallowed-exception", stage="retry", source="`process` in saq/worker.py")
def swallowed_exception(job: Job) -> Iterator[Finding]:
    """An exception that the handler catches and does not raise is a complete job for SAQ."""
    yield from swallowing.swallowed_exception(
        job, "SAQ takes the job for complete, and does not run it again"
    )


@rule(
    "saq.retry-without-delay",
    stage="retry",
    source="`retry_delay: float = 0.0` in saq/job.py; `_retry` in saq/queue/redis.py",
)
def retry_without_delay(job: Job) -> Iterator[Finding]:
    """Without retry_delay the next attempt follows at once: all are used up before an outage can
    pass.
    """
    if any(way.sets_delay is not None for way in find_ways(job.project, job.handler)):
        return
    for send in find_real_sends(job, SENDER):
        most = read_attempts(job.project, send)
        delay = read_option(job.project, send, "retry_delay", 0.0)
        if is_known(most) and most > 1 and is_known(delay) and not delay:
            message = f"{most} attempts follow each other at once: there is no retry_delay"
            hint = "retry_delay=2, retry_backoff=60, or job.retry_delay in the handler"
            yield tell(job, "retry-without-delay", Severity.WARNING, send.place, message, hint)


@rule(
    "saq.never-swept",
    stage="retry",
    rests_on="setup",
    source="`stuck` in saq/job.py, `sweep` in saq/queue/redis.py",
)
def never_swept(job: Job) -> Iterator[Finding]:
    """A job without a timeout and without a heartbeat is never stuck: that of a dead worker stays
    in the active list for ever.
    """
    for send in find_real_sends(job, SENDER):
        limits = (
            read_option(job.project, send, "timeout", 10.0),
            read_option(job.project, send, "heartbeat", 0.0),
        )
        if all(is_known(limit) and not limit for limit in limits):
            message = "timeout=0 without a heartbeat: no sweep finds the job of a worker that died"
            hint = "a timeout that the job never needs, or heartbeat= and await job.update()"
            yield tell(job, "never-swept", Severity.ERROR, send.place, message, hint)


@rule(
    "saq.no-room-for-deaths",
    stage="dead-letter",
    source="`sweep` in saq/queue/redis.py: a job that is not retryable is aborted",
)
def no_room_for_deaths(job: Job) -> Iterator[Finding]:
    """Each begun attempt counts: a worker that dies in the last one leaves no dead letter."""
    bounds = [way.bound for way in find_ways(job.project, job.handler) if way.bound is not None]
    if not _expects_record(job) or not bounds:
        return
    for send in find_real_sends(job, SENDER):
        most = read_attempts(job.project, send)
        if send.options and is_known(most) and max(bounds) >= most:
            message = (
                f"retries is {most}, and the handler writes its dead letter at attempt"
                f" {max(bounds)}: a worker that dies in it has used up the last one, and the sweep"
                " ends the job without a record"
            )
            hint = f"retries={max(bounds) + 5}: the handler's own count stays the bound"
            yield tell(job, "no-room-for-deaths", Severity.WARNING, send.place, message, hint)


@rule(
    "saq.failure-unrecorded",
    stage="dead-letter",
    source="`ttl: int = 600` in saq/job.py, `_finish` in saq/queue/redis.py",
)
def failure_unrecorded(job: Job) -> Iterator[Finding]:
    """SAQ keeps no dead letters: a failed job is deleted after its ttl."""
    sends = list(find_real_sends(job, SENDER))
    if not _expects_record(job) or not sends or find_record(job.project, job.handler) is not None:
        return
    kept = read_option(job.project, sends[0], "ttl", TTL_S)
    after = f"is gone after {seconds(kept)}" if is_known(kept) and kept > 0 else "is all there is"
    message = f"nothing is recorded when the job is given up: what SAQ keeps {after}"
    hint = "write the dead letter in the handler, at the last attempt and on a permanent error"
    yield tell(job, "failure-unrecorded", Severity.WARNING, sends[0].place, message, hint)


@rule("saq.permanent-not-recorded", stage="dead-letter", source="`process` in saq/worker.py")
def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A permanent error that the handler catches and does not record is lost: SAQ calls the job
    complete.
    """
    yield from swallowing.permanent_not_recorded(job)


@rule(
    "saq.field-taken",
    stage="handler",
    rests_on="setup",
    source="`enqueue` in saq/queue/base.py: `if k in Job.__dataclass_fields__`",
)
def field_taken(job: Job) -> Iterator[Finding]:
    """enqueue takes an argument that is named like a field of Job for itself: the function never
    gets it.
    """
    taken = find_parameters(job)
    names = [arg.arg for arg in (*taken.args, *taken.kwonlyargs)] if taken is not None else []
    for send in find_real_sends(job, SENDER):
        wrong = [name for name in names if name in send.options]
        if wrong and "kwargs" not in send.options:
            message = f"SAQ takes {', '.join(wrong)} for the job's own: the function never gets it"
            hint = "rename the parameter, or enqueue with kwargs={...}"
            yield tell(job, "field-taken", Severity.ERROR, send.place, message, hint)


SENDING = declare_send_rules(
    "saq",
    SENDER,
    {
        "not-awaited": "`enqueue` in saq/queue/base.py",
        "wrong-arguments": "`enqueue` in saq/queue/base.py, `process` in saq/worker.py",
        "object-argument": "`dump or json.dumps` in saq/queue/base.py; mozilla/experimenter#1631",
        "pickle-serializer": "dump and load in saq/queue/base.py",
    },
)
