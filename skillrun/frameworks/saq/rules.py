"""What people get wrong with SAQ."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.limit_rules import Limiting
from skillrun.frameworks.common.listed_rules import declare_listed_rules
from skillrun.frameworks.common.listed_sends import find_parameters
from skillrun.frameworks.common.permanent_errors import Fate, Rerunning, read_attempts
from skillrun.frameworks.common.policy_reader import Limit, read_sent
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_real_sends, read_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.saq.policy import (
    RETRIES,
    TIMEOUT_S,
    TTL_S,
    find_left,
    find_raised,
    is_again,
)
from skillrun.frameworks.saq.words import SENDER
from skillrun.repo.python import Handler, is_known


def _find_limits(job: Job) -> Iterator[Limit]:
    for send in find_real_sends(job, SENDER):
        # A cron job that enqueues the job says nothing of its attempts.
        if send.call is not None or send.options:
            yield read_sent(job.project, send, "retries", RETRIES)


def _find_kept(job: Job) -> Limit | None:
    for send, (ttl,) in read_sends(job, SENDER, ttl=TTL_S):
        # 0 keeps it for ever, and less keeps nothing.
        is_endless = is_known(ttl) and ttl <= 0
        return Limit(float("inf") if is_endless else ttl, send.place)
    return None


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that takes the job's retries away before it raises."""
    if clause.reraises and not is_again(clause):
        return Fate("given up", place_of(clause.module, clause.node))
    return None


LIMITING = Limiting(
    title="SAQ",
    below="retries-below-spec",
    option="retries",
    attempt="attempt",
    find_limits=_find_limits,
    find_ways=lambda job: find_raised(job.project, job.handler),
    find_record=lambda job: find_left(job.project, job.handler),
    find_kept=_find_kept,
    write=lambda job, most: f"retries={most}",
    rests_on="setup",
    rerunning=Rerunning(title="SAQ", read_clause=_read_clause, read_left=read_attempts),
)
COMMON = declare_listed_rules(
    "saq",
    SENDER,
    LIMITING,
    {
        "retries-below-spec": "`retries: int = 1` in saq/job.py, `retryable` there",
        "no-room-for-deaths": "`sweep` in saq/queue/redis.py: what is not retryable is aborted",
        "failure-unrecorded": "`ttl: int = 600` in saq/job.py, `_finish` in saq/queue/redis.py",
        "permanent-retried": "`except Exception` in `process`, saq/worker.py",
        "swallowed-exception": "`process` in saq/worker.py",
        "not-awaited": "`enqueue` in saq/queue/base.py",
        "wrong-arguments": "`enqueue` in saq/queue/base.py, `process` in saq/worker.py",
        "object-argument": "`dump or json.dumps` in saq/queue/base.py; mozilla/experimenter#1631",
        "pickle-serializer": "dump and load in saq/queue/base.py",
    },
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
    if any(way.sets_delay for way in find_raised(job.project, job.handler)):
        return
    for send, (most, delay) in read_sends(job, SENDER, retries=RETRIES, retry_delay=0.0):
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
    for send, limits in read_sends(job, SENDER, timeout=TIMEOUT_S, heartbeat=0.0):
        if all(is_known(limit) and not limit for limit in limits):
            message = "timeout=0 without a heartbeat: no sweep finds the job of a worker that died"
            hint = "a timeout that the job never needs, or heartbeat= and await job.update()"
            yield tell(job, "never-swept", Severity.ERROR, send.place, message, hint)


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
