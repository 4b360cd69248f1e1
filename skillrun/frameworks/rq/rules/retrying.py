"""Rules about whether a retry comes, how often, and for what."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.errors import ancestors, short, takes_any
from skillrun.frameworks.common.facts import effect_calls, seconds, spec_name, tell
from skillrun.frameworks.common.reading import options_of
from skillrun.frameworks.interface import Job, Send
from skillrun.frameworks.rq.callbacks import failure_callbacks
from skillrun.frameworks.rq.policy import ends_job, read_send_retry
from skillrun.frameworks.rq.retry import Reading, returned_retries
from skillrun.frameworks.rq.sends import QUEUE, find_effective_sends, job_decorator
from skillrun.frameworks.rq.workers import place_of_launch, unscheduled_workers
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler
from skillrun.repo.syntax import find_set_attribute
from skillrun.repo.uses import Place

_TIMEOUT = "JobTimeoutException"


@rule(
    "rq.no-scheduler",
    stage="retry",
    rests_on="setup",
    source="cvat-ai/cvat#10578, rq/rq#1624; RQ's documentation, Exceptions & Retries",
)
def no_scheduler(job: Job) -> Iterator[Finding]:
    """Without a scheduler nothing moves a job out of the ScheduledJobRegistry: its retry never
    comes.

    The job waits (an interval, enqueue_in, enqueue_at, repeat), and no worker that is started moves
    it on.
    """
    waiting, workers = _find_longest_wait(job), unscheduled_workers(job.project)
    if waiting is None or not workers:
        return
    message = (
        f"no worker is started with a scheduler, and the job waits ({waiting}): it stays scheduled"
        " for ever"
    )
    yield tell(
        job,
        "no-scheduler",
        Severity.ERROR,
        place_of_launch(*workers[0]),
        message,
        "add --with-scheduler",
    )


def _find_longest_wait(job: Job) -> str | None:
    for send in find_effective_sends(job.project, job.handler):
        longest = max(read_send_retry(job.project, send).waits or (0.0,))
        if longest > 0:
            return f"{seconds(longest)} before a retry"
        if send.via == QUEUE and send.how in (".enqueue_in(...)", ".enqueue_at(...)"):
            return send.how.strip(".")
    longest = max(
        (w for one in returned_retries(job.project, job.handler) for w in one.waits or ()),
        default=0.0,
    )
    if longest > 0:
        return f"{seconds(longest)} before a retry"
    return None


def _list_readable(job: Job) -> list[tuple[Send, Reading]]:
    found = []
    for send in find_effective_sends(job.project, job.handler):
        reading = read_send_retry(job.project, send)
        if reading.waits is not None:
            found.append((send, reading))
    return found


@rule(
    "rq.retry-differs",
    stage="retry",
    rests_on="setup",
    source=(
        "RQ's documentation, Retrying Failed Jobs; rq/cron.py and rq/rq-scheduler#276"
        " (neither takes a Retry)"
    ),
)
def retry_differs(job: Job) -> Iterator[Finding]:
    """Retries are given where a job is enqueued, so one forgotten place leaves the same job without
    them.
    """
    sends = _list_readable(job)
    first = next(iter(sends), None)
    other = None
    for pair in sends:
        if first and pair[1].waits != first[1].waits:
            other = pair
            break
    if first is None or other is None:
        return
    message = (
        f"the job is retried {_write_times(first[1])} from {_write_place(first[0])}, and {_write_times(other[1])}"
        " from here"
    )
    hint = (
        "give the same retry everywhere: one function that enqueues, or @job(retry=...) and"
        " .delay()"
    )
    yield tell(job, "retry-differs", Severity.ERROR, other[0].place, message, hint)


def _write_times(one: Reading) -> str:
    waits = ""
    if one.waits and any(one.waits):
        waits = f" (waits {', '.join(f'{wait:g} s' for wait in one.waits)})"
    if not one.retries:
        return "never"
    return f"{one.retries} times{waits}"


def _write_place(send: Send) -> str:
    return f"{send.place.path}:{send.place.line}"


@rule(
    "rq.interval-length",
    stage="retry",
    rests_on="setup",
    source="Job.get_retry_interval in rq/job.py",
)
def interval_length(job: Job) -> Iterator[Finding]:
    """A list of intervals that is not as long as max repeats its first value, or never uses it."""
    seen: set[Place] = set()
    for _, one in _list_readable(job):
        count, place = len(one.intervals or ()), one.place
        if not one.retries or place is None or place in seen:
            continue
        seen.add(place)
        written = ", ".join(f"{wait:g}" for wait in one.waits or ())
        if count == 0:
            message = (
                "no interval in the list: when it should retry, the worker quits with IndexError"
            )
            yield tell(
                job,
                "interval-length",
                Severity.ERROR,
                place,
                message,
                f"give {one.retries} intervals",
            )
        elif count > 1 and count != one.retries:
            how = "the first are never used"
            if count < one.retries:
                how = "the first is repeated until the end"
            message = f"{count} intervals for {one.retries} retries: {how}, RQ waits {written} s"
            yield tell(
                job,
                "interval-length",
                Severity.WARNING,
                place,
                message,
                f"give {one.retries} intervals",
            )


@rule(
    "rq.decorator-ignored",
    stage="retry",
    source="rq/decorators.py: only the delay and enqueue that it adds pass its options on",
)
def decorator_ignored(job: Job) -> Iterator[Finding]:
    """queue.enqueue(f) does not look at the decorator of f: its retry, timeout and callbacks are
    lost.

    The function is decorated with options, and enqueued past them.
    """
    decorator = job_decorator(job.project, job.handler)
    if decorator is None or not isinstance(decorator[0], ast.Call):
        return
    given = set(options_of(job.project, decorator[0], decorator[1])[0]) & {
        "retry",
        "timeout",
        "on_failure",
    }
    for send in find_effective_sends(job.project, job.handler):
        there = set()
        for name in send.options:
            there.add("timeout" if name == "job_timeout" else name)
        if send.via == QUEUE and not send.options_hidden and given - there:
            lost = ", ".join(sorted(given - there))
            message = (
                f"{send.how} does not look at the decorator: its {lost} does not apply to this job"
            )
            hint = f"{job.handler.name}.delay(...), or give the options here"
            yield tell(job, "decorator-ignored", Severity.WARNING, send.place, message, hint)


@rule(
    "rq.permanent-retried",
    stage="retry",
    source="open-wearables#1053; Worker.handle_job_failure in rq/worker/base.py",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """RQ retries whatever the function lets out: an error that will not pass by waiting too.

    No clause around the effects ends the job for an error that the spec calls permanent.
    """
    place = job.policy.sources.get("autoretry")
    if place is None or job.policy.max_attempts == 1 or _takes_retries_away(job):
        return
    clauses: list[Handler] = []
    for call in effect_calls(job):
        clauses += call.in_try
    ending = list(filter(ends_job, clauses or job.project.handlers(job.handler, depth=2)))
    for written in job.spec.list_errors("permanent"):
        bases = ancestors(job.project, short(spec_name(job, written)))
        if not any(takes_any(clause, bases) for clause in ending):
            message = (
                f"{written} is permanent in the spec, and RQ retries every exception that the"
                " function lets out"
            )
            hint = (
                "catch it, record the dead letter and return; or set get_current_job().retries_left"
                " = 0 and raise"
            )
            yield tell(job, "permanent-retried", Severity.ERROR, place, message, hint)


def _takes_retries_away(job: Job) -> bool:
    """The handler's way or a callback assigns `retries_left`."""
    callbacks = failure_callbacks(job.project, job.handler)
    for part in (job.handler, *callbacks, *job.project.reached(job.handler, depth=2)):
        if find_set_attribute(part.node, "retries_left") is not None:
            return True
    return False


@rule(
    "rq.swallowed-exception",
    stage="retry",
    source="stock-screener#49: except, then return {'status': 'error'}",
)
def swallowed_exception(job: Job) -> Iterator[Finding]:
    """An exception that the handler catches and does not raise makes the job finished: no retry, no
    failed job.

    A clause around an effect that ends the job normally, for an error that should be retried.
    """
    said = [*swallowing.swallowed_exception(job, "RQ calls the job finished and never retries it")]
    yield from said
    lines = {(finding.path, finding.line) for finding in said}
    if not job.spec.failures or job.policy.max_attempts == 1:
        return
    for error in job.spec.failures.transient:
        bases = ancestors(job.project, short(spec_name(job, error.type)))
        for call in effect_calls(job):
            clause = next((one for one in call.in_try if takes_any(one, bases)), None)
            if clause is None or (clause.path, clause.line) in lines or not ends_job(clause):
                continue
            lines.add((clause.path, clause.line))
            message = (
                f"this clause ends the job for {error.type}, which the spec calls transient: it is"
                " never retried"
            )
            place = Place(clause.path, clause.line)
            yield tell(
                job,
                "swallowed-exception",
                Severity.ERROR,
                place,
                message,
                "let it through, or name less here",
            )


@rule(
    "rq.timeout-swallowed",
    stage="retry",
    source=(
        "perma#2032 (the same with Celery); rq/timeouts.py; netbox/jobs.py names it before"
        " its broad clause"
    ),
)
def timeout_swallowed(job: Job) -> Iterator[Finding]:
    """JobTimeoutException is an Exception: a broad clause swallows it, and the job runs on until it
    is killed.
    """
    limit = job.policy.time_limit_s
    clauses = {clause.node: clause for call in effect_calls(job) for clause in call.in_try}
    if limit is None:
        return
    for clause in clauses.values():
        if not clause.broad or not ends_job(clause) or _named_before(clause):
            continue
        message = (
            f"this clause swallows {_TIMEOUT}, which RQ raises after {seconds(limit or 0)}: the job"
            " runs on"
        )
        hint = f"put `except {_TIMEOUT}: raise` before it"
        yield tell(
            job,
            "timeout-swallowed",
            Severity.WARNING,
            Place(clause.path, clause.line),
            message,
            hint,
        )


def _named_before(clause: Handler) -> bool:
    """An earlier clause of the same `try` names it."""
    block = None
    for n in clause.module.parents(clause.node):
        if isinstance(n, ast.Try | ast.TryStar):
            block = n
            break
    earlier = []
    if block:
        earlier = block.handlers[: block.handlers.index(clause.node)]
    return any(_TIMEOUT in ast.unparse(one.type) for one in earlier if one.type is not None)
