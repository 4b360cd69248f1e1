"""Rules about what is retried, how often, after which wait, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.errors import short
from skillrun.frameworks.common.facts import at, spec_name, tell
from skillrun.frameworks.common.permanent_errors import find_permanent_retried, list_fates
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.common.wait_rules import Wait, find_flat_backoffs
from skillrun.frameworks.huey.deadletter import find_record
from skillrun.frameworks.huey.failures import guarded, raised
from skillrun.frameworks.huey.policy import AT_SITE, effective, overrides
from skillrun.frameworks.huey.rules.facts import run_place, task_of
from skillrun.frameworks.huey.rules.fates import RERUNNING
from skillrun.frameworks.huey.tasks import Option
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule


def _is_retried(job: Job) -> bool:
    """The job is tried more than once, as far as can be read."""
    return job.policy.max_attempts != 1 and "max_attempts" not in job.policy.unknown


@rule(
    "huey.retry-unbounded",
    stage="retry",
    source="`task.retries += 1` for RetryTask in Huey._execute, huey/api.py",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """RetryTask and CancelExecution(retry=True) use up no retry, so a job that cannot succeed runs
    for ever.
    """
    for found in raised(job.project, task_of(job)):
        if not found.endless:
            continue
        what = "RetryTask"
        if found.cancels:
            what = "CancelExecution(retry=True)"
        place = place_of(found.module, found.node)
        if job.policy.max_attempts is None and not guarded(found):
            message = f"{what} uses up no retry: a job that cannot succeed is tried for ever"
            yield tell(
                job,
                "retry-unbounded",
                Severity.ERROR,
                place,
                message,
                "raise the error itself: retries= counts",
            )
        else:
            message = f"{what} uses up no retry: only the condition here bounds the attempts"
            yield tell(
                job,
                "retry-unbounded",
                Severity.WARNING,
                place,
                message,
                "see that it ends, whatever happens",
            )


@rule(
    "huey.cancel-is-retried",
    stage="retry",
    source="CancelExecution in Huey's API documentation; Huey._execute in huey/api.py",
)
def cancel_is_retried(job: Job) -> Iterator[Finding]:
    """CancelExecution without retry=False is retried like any other error while retries are left.

    `raise CancelExecution()` in a task with retries: it comes back.
    """
    if not _is_retried(job):
        return
    for found in raised(job.project, task_of(job)):
        if found.cancels and found.readable and found.retry is None:
            message = (
                "CancelExecution without retry=False: Huey retries the task while it has retries"
                " left"
            )
            place = place_of(found.module, found.node)
            yield tell(
                job,
                "cancel-is-retried",
                Severity.ERROR,
                place,
                message,
                "CancelExecution(retry=False)",
            )


@rule(
    "huey.permanent-retried",
    stage="retry",
    source="open-wearables#1053: 462 attempts in a week, none of them successful",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Huey retries every exception; one that the spec calls permanent only delays the
    dead letter.
    """
    return find_permanent_retried(job, RERUNNING)


@rule("huey.transient-given-up", stage="retry", source="Huey._execute in huey/api.py")
def transient_given_up(job: Job) -> Iterator[Finding]:
    """CancelExecution(retry=False) and task.retries = 0 end the job at once, whatever retries it
    has left.

    A transient error ends the job for good.
    """
    if job.policy.max_attempts == 1:
        return
    for written in job.spec.list_errors("transient"):
        fates = list_fates(job, short(spec_name(job, written)), RERUNNING)
        given_up = [fate for fate in fates if fate.answer == "given up"]
        if given_up:
            message = (
                f"{written} is transient in the spec, and the handler gives the job up at once"
            )
            hint = "let it through to the retry"
            place = given_up[0].place
            yield tell(job, "transient-given-up", Severity.ERROR, place, message, hint)


@rule("huey.backoff-without-delay", stage="retry", source="Huey._requeue_task in huey/api.py")
def backoff_without_delay(job: Job) -> Iterator[Finding]:
    """retry_backoff multiplies retry_delay, which is 0 unless it is given: the retries follow at
    once.
    """
    factor = _find_idle_backoff(job)
    if factor is None:
        return
    message = (
        f"retry_backoff={factor.value:g} multiplies a retry_delay of nothing: the retries follow"
        " at once"
    )
    hint = "retry_delay=2, retry_backoff=2"
    yield tell(job, "backoff-without-delay", Severity.ERROR, factor.place, message, hint)


def _find_idle_backoff(job: Job) -> Option | None:
    """The factor that multiplies a delay of nothing."""
    task = task_of(job)
    factor = effective(job.project, task, "retry_backoff")
    if factor is None or not isinstance(factor.value, int | float) or not factor.value:
        return None
    delay = effective(job.project, task, "retry_delay")
    if delay is None or delay.value == 0:
        return factor
    return None


@rule("huey.retry-without-delay", stage="retry", source="retry_delay=0 in Huey.task, huey/api.py")
def retry_without_delay(job: Job) -> Iterator[Finding]:
    """Without retry_delay all attempts are used up within moments, before an outage can pass.

    Retries that follow at once.
    """
    if not _is_retried(job) or "backoff" in job.policy.unknown or job.policy.backoff.kind != "none":
        return
    if _find_idle_backoff(job) is None:
        message = (
            "no retry_delay: all attempts are used up within moments, before an outage can pass"
        )
        place = at(job, job.policy.sources.get("max_attempts"))
        yield tell(
            job,
            "retry-without-delay",
            Severity.WARNING,
            place,
            message,
            "retry_delay=2, retry_backoff=2",
        )


@rule(
    "huey.flat-backoff",
    stage="retry",
    source="PDF-Assistant-RAG#664; retry_backoff in Huey.task, huey/api.py",
)
def flat_backoff(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The same wait before every retry.
    """
    policy, waits = job.policy, []
    is_flat = policy.backoff.kind == "fixed" and "backoff" not in policy.unknown
    if is_flat and (policy.max_attempts is None or policy.max_attempts > 2):
        waits.append(Wait(policy.backoff.base_s, policy.sources.get("backoff")))
    hint = "retry_backoff=2 doubles the delay each time (Huey 3)"
    return find_flat_backoffs(job, waits, hint)


@rule(
    "huey.retries-differ",
    stage="retry",
    source="TaskWrapper.s and TaskWrapper.schedule in huey/api.py",
)
def retries_differ(job: Job) -> Iterator[Finding]:
    """A call that gives retries of its own overrides the task's: the same job is tried differently
    often.
    """
    task = task_of(job)
    for name in AT_SITE:
        given = overrides(job.project, task, name)
        own = task.options.get(name)
        values = set()
        for one in given:
            if one:
                values.add(repr(one.value))
            elif own:
                values.add(repr(own.value))
            else:
                values.add(repr(task.option(name)))
        place = next((one.place for one in given if one), None)
        if place is not None and len(values) > 1:
            message = (
                f"{name} is {' here, elsewhere '.join(sorted(values))}: it depends on who publishes"
                " the job"
            )
            yield tell(
                job,
                "retries-differ",
                Severity.WARNING,
                place,
                message,
                "give it in the decorator alone",
            )


@rule(
    "huey.record-every-attempt",
    stage="dead-letter",
    source="Huey._execute and store_intermediate_errors in huey/api.py",
)
def record_every_attempt(job: Job) -> Iterator[Finding]:
    """SIGNAL_ERROR and on_error come with every failed attempt: a job that succeeds later has a
    dead letter too.
    """
    record = None
    if _is_retried(job):
        record = find_record(job.project, job.use, task_of(job))
    if record is None or not record.every:
        return
    message = f"{record.how} writes this record at every failed attempt, not only at the last"
    hint = (
        "write it only when task.retries is 0 (store_intermediate_errors=False does so for"
        " on_error)"
    )
    yield tell(
        job, "record-every-attempt", Severity.WARNING, record.place or run_place(job), message, hint
    )


SWALLOWING = declare_swallowing_rules(
    "huey",
    says="Huey calls the task complete and never retries it",
    source="Huey._execute in huey/api.py",
)
