"""Rules about whether a retry comes, how often, and for what."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.errors import ancestors, short, takes_any
from skillrun.frameworks.common.facts import effect_calls, seconds, spec_name, tell
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Fate,
    Rerunning,
    find_permanent_retried,
    is_decided,
)
from skillrun.frameworks.common.reading import options_of, place_of
from skillrun.frameworks.interface import Job, Send
from skillrun.frameworks.rq.callbacks import failure_callbacks
from skillrun.frameworks.rq.policy import ends_job, read_send_retry
from skillrun.frameworks.rq.retry import Reading, is_retry, returned_retries
from skillrun.frameworks.rq.sends import QUEUE, find_effective_sends, job_decorator
from skillrun.frameworks.rq.workers import place_of_launch, unscheduled_workers
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Handler
from skillrun.repo.syntax import find_nodes, find_set_attribute
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
    waiting, workers = _name_wait(job), unscheduled_workers(job.project)
    if waiting is None or not workers:
        return
    message = (
        f"no worker is started with a scheduler, and the job waits ({waiting}): it stays scheduled"
        " for ever"
    )
    place = place_of_launch(*workers[0])
    yield tell(job, "no-scheduler", Severity.ERROR, place, message, "add --with-scheduler")


def _name_wait(job: Job) -> str | None:
    """What the job waits for, in words: "60 s before a retry", "enqueue_in(...)"; None where it
    never waits.
    """
    for send in find_effective_sends(job.project, job.handler):
        longest = max(read_send_retry(job.project, send).waits or (0.0,))
        if longest > 0:
            return f"{seconds(longest)} before a retry"
        if send.via == QUEUE and send.how in (".enqueue_in(...)", ".enqueue_at(...)"):
            return send.how.strip(".")
    waits: list[float] = []
    for returned in returned_retries(job.project, job.handler):
        waits += returned.waits or ()
    longest = max(waits, default=0.0)
    if longest > 0:
        return f"{seconds(longest)} before a retry"
    return None


def _list_readable(job: Job) -> list[tuple[Send, Reading]]:
    """The places that enqueue the job, each with its retries, where those can be read."""
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
    readable = _list_readable(job)
    if not readable:
        return
    first_send, first = readable[0]
    hint = (
        "give the same retry everywhere: one function that enqueues, or @job(retry=...) and"
        " .delay()"
    )
    for send, reading in readable:
        if reading.waits == first.waits:
            continue
        place = f"{first_send.place.path}:{first_send.place.line}"
        message = (
            f"the job is retried {_write_times(first)} from {place}, and {_write_times(reading)}"
            " from here"
        )
        yield tell(job, "retry-differs", Severity.ERROR, send.place, message, hint)
        return


def _write_times(reading: Reading) -> str:
    """ "3 times (waits 10 s, 30 s, 60 s)", or "never"."""
    if not reading.retries:
        return "never"
    waits = ""
    if reading.waits and any(reading.waits):
        waits = f" (waits {', '.join(f'{wait:g} s' for wait in reading.waits)})"
    return f"{reading.retries} times{waits}"


@rule(
    "rq.interval-length",
    stage="retry",
    rests_on="setup",
    source="Job.get_retry_interval in rq/job.py",
)
def interval_length(job: Job) -> Iterator[Finding]:
    """A list of intervals that is not as long as max repeats its first value, or never uses it."""
    # A Retry that several places share is told once.
    told: set[Place] = set()
    for _, reading in _list_readable(job):
        retries, place = reading.retries, reading.place
        if not retries or place is None or place in told:
            continue
        told.add(place)
        hint = f"give {retries} intervals"
        count = len(reading.intervals or ())
        if count == 0:
            message = (
                "no interval in the list: when it should retry, the worker quits with IndexError"
            )
            yield tell(job, "interval-length", Severity.ERROR, place, message, hint)
        # A single interval is meant for all retries.
        elif count > 1 and count != retries:
            use = "the first are never used"
            if count < retries:
                use = "the first is repeated until the end"
            waits = ", ".join(f"{wait:g}" for wait in reading.waits or ())
            message = f"{count} intervals for {retries} retries: {use}, RQ waits {waits} s"
            yield tell(job, "interval-length", Severity.WARNING, place, message, hint)


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
    if decorator is None:
        return
    node, module = decorator
    if not isinstance(node, ast.Call):
        return
    options, _ = options_of(job.project, node, module)
    decorated = options.keys() & {"retry", "timeout", "on_failure"}
    for send in find_effective_sends(job.project, job.handler):
        if send.via != QUEUE or send.options_hidden:
            continue
        lost = decorated - send.options.keys()
        # The queue has another name for it.
        if "job_timeout" in send.options:
            lost.discard("timeout")
        if lost:
            message = (
                f"{send.how} does not look at the decorator: its {', '.join(sorted(lost))} does not"
                " apply to this job"
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
    return find_permanent_retried(job, _RERUNNING)


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that returns a Retry, or takes the job's retries away."""
    place = place_of(clause.module, clause.node)
    left = find_set_attribute(clause.node, "retries_left")
    if left is not None:
        if is_decided(clause, clause.module, left):
            return Fate("unsure", place)
        return Fate("given up", place)
    for node in find_nodes(clause.node, ast.Return):
        if isinstance(node.value, ast.Call) and is_retry(job.project, node.value, clause.module):
            returned = place_of(clause.module, node)
            if is_decided(clause, clause.module, node):
                return Fate("unsure", returned)
            return Fate("again", returned)
    return None


def _read_left(job: Job, error: str) -> Answer:
    """RQ retries whatever the function lets out, where it is enqueued with a Retry."""
    if "max_attempts" in job.policy.unknown:
        return "unsure"
    if job.policy.sources.get("autoretry") is None or job.policy.max_attempts == 1:
        return "ends"
    if _takes_retries_away(job):
        return "unsure"
    return "again"


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    for returned in returned_retries(job.project, job.handler):
        for name in returned.clause or ():
            if returned.place is not None:
                yield name, returned.place


_RERUNNING = Rerunning(
    title="RQ",
    read_clause=_read_clause,
    read_left=_read_left,
    hint=(
        "catch it, record the dead letter and return; or set get_current_job().retries_left = 0"
        " and raise"
    ),
    find_place=lambda job: job.policy.sources.get("autoretry"),
    list_named=_list_named,
)


def _takes_retries_away(job: Job) -> bool:
    """Whether the handler, what it calls, or a callback assigns `retries_left`."""
    callbacks = failure_callbacks(job.project, job.handler)
    for function in (job.handler, *callbacks, *job.project.reached(job.handler, depth=2)):
        if find_set_attribute(function.node, "retries_left") is not None:
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
    says = "RQ calls the job finished and never retries it"
    told = set()
    for finding in swallowing.swallowed_exception(job, says):
        told.add((finding.path, finding.line))
        yield finding
    if not job.spec.failures or job.policy.max_attempts == 1:
        return
    for error in job.spec.failures.transient:
        bases = ancestors(job.project, short(spec_name(job, error.type)))
        for call in effect_calls(job):
            clause = _find_taking(call, bases)
            if clause is None or (clause.path, clause.line) in told or not ends_job(clause):
                continue
            told.add((clause.path, clause.line))
            message = (
                f"this clause ends the job for {error.type}, which the spec calls transient: it is"
                " never retried"
            )
            hint = "let it through, or name less here"
            place = Place(clause.path, clause.line)
            yield tell(job, "swallowed-exception", Severity.ERROR, place, message, hint)


def _find_taking(call: Call, bases: frozenset[str]) -> Handler | None:
    """The first clause around a call that takes an error with these names."""
    for clause in call.in_try:
        if takes_any(clause, bases):
            return clause
    return None


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
    calls = effect_calls(job)
    if limit is None:
        return
    # One clause may stand around several effects.
    clauses = {}
    for call in calls:
        for clause in call.in_try:
            clauses[clause.node] = clause
    for clause in clauses.values():
        if not clause.broad or not ends_job(clause) or _is_named_before(clause):
            continue
        message = (
            f"this clause swallows {_TIMEOUT}, which RQ raises after {seconds(limit)}: the job"
            " runs on"
        )
        hint = f"put `except {_TIMEOUT}: raise` before it"
        place = Place(clause.path, clause.line)
        yield tell(job, "timeout-swallowed", Severity.WARNING, place, message, hint)


def _is_named_before(clause: Handler) -> bool:
    """Whether an earlier clause of the same `try` names the timeout."""
    for block in clause.module.parents(clause.node):
        if not isinstance(block, ast.Try | ast.TryStar):
            continue
        for earlier in block.handlers[: block.handlers.index(clause.node)]:
            if earlier.type is not None and _TIMEOUT in ast.unparse(earlier.type):
                return True
        return False
    return False
