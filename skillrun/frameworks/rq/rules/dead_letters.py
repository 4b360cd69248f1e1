"""Rules about what is left of a job that RQ gave up."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.facts import seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rq.callbacks import failure_callbacks, looks_at_retries
from skillrun.frameworks.rq.policy import seconds_of
from skillrun.frameworks.rq.sends import find_effective_sends
from skillrun.frameworks.rq.workers import launches_of, place_of_launch
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test

_SWEEPERS = (
    "FailedJobRegistry",
    "failed_job_registry",
    "work_horse_killed_handler",
    "handle_work_horse_killed",
)
_DAY = 86_400.0


def _kind_of(job: Job) -> str | None:
    if not job.spec.dead_letter:
        return None
    return job.spec.dead_letter.kind


@rule(
    "rq.failure-each-attempt",
    stage="dead-letter",
    source="Worker._finalize_failure in rq/worker/base.py",
)
def failure_each_attempt(job: Job) -> Iterator[Finding]:
    """on_failure runs after every failed attempt: what it records is no dead letter while retries
    are left.
    """
    if not job.policy.sources.get("autoretry") or job.policy.max_attempts in (None, 1):
        return
    for hook in failure_callbacks(job.project, job.handler):
        record = first_record(job.project, getattr(hook.node, "body", []), hook.module)
        if record is None or looks_at_retries(job.project, hook):
            continue
        certain = _kind_of(job) in ("table", "queue") and "max_attempts" not in job.policy.unknown
        message = (
            f"on_failure runs after each of {job.policy.max_attempts} attempts, and {hook.name}"
            " records every time"
        )
        if certain:
            severity = Severity.ERROR
        else:
            severity = Severity.WARNING
        hint = "if job.retries_left: return"
        yield tell(
            job, "failure-each-attempt", severity, place_of(hook.module, record), message, hint
        )


@rule(
    "rq.killed-not-recorded",
    stage="dead-letter",
    source="rq/rq#1461, #2015, #2236; monitor_work_horse in rq/worker/worker_classes.py",
)
def killed_not_recorded(job: Job) -> Iterator[Finding]:
    """A work horse that is killed (out of memory) calls no on_failure: only the FailedJobRegistry
    knows.
    """
    place = job.policy.dead_letter
    if _kind_of(job) not in ("table", "queue") or place is None:
        return
    if any(
        not is_plainly_test(module.path)
        for word in _SWEEPERS
        for module in job.project.modules_with(word)
    ):
        return
    message = (
        "a work horse that is killed (out of memory, SIGKILL) does not get here: the job is only a"
        " failed one of RQ"
    )
    hint = (
        "write the record in a sweep over the FailedJobRegistry, or in a work_horse_killed_handler:"
        " Worker(..., work_horse_killed_handler=f), in a class that rq worker --worker-class names"
    )
    yield tell(job, "killed-not-recorded", Severity.WARNING, place, message, hint)


@rule(
    "rq.registry-off",
    stage="dead-letter",
    rests_on="setup",
    source="disable_default_exception_handler in rq/worker/base.py",
)
def registry_off(job: Job) -> Iterator[Finding]:
    """A worker without the default exception handler puts no failed job into the
    FailedJobRegistry.
    """
    if _kind_of(job) != "framework":
        return
    hint = "let the default exception handler run"
    for path, launch in launches_of(job.project):
        if launch.forgets_failures:
            message = (
                "this worker runs without the default exception handler: failed jobs are not kept"
            )
            yield tell(
                job, "registry-off", Severity.ERROR, place_of_launch(path, launch), message, hint
            )
    for module in job.project.modules_with("disable_default_exception_handler"):
        for node in () if is_plainly_test(module.path) else module.all_nodes:
            named = (
                isinstance(node, ast.keyword) and node.arg == "disable_default_exception_handler"
            )
            if (
                named
                and isinstance(node, ast.keyword)
                and job.project.literal(node.value, module) is True
            ):
                message = (
                    "this worker runs without the default exception handler: failed jobs are not"
                    " kept"
                )
                yield tell(
                    job, "registry-off", Severity.ERROR, place_of(module, node.value), message, hint
                )


@rule(
    "rq.failure-ttl",
    stage="dead-letter",
    rests_on="setup",
    source="FailedJobRegistry.add in rq/registry.py",
)
def failure_ttl(job: Job) -> Iterator[Finding]:
    """A failed job is deleted after failure_ttl: a short one empties the dead letters before
    anybody looks.
    """
    if _kind_of(job) != "framework":
        return
    for send in find_effective_sends(job.project, job.handler):
        given = send.option("failure_ttl")
        value = None
        if given is not None:
            value = seconds_of(job.project, *given)
        if given is None or not isinstance(value, float) or not 0 <= value < _DAY:
            continue
        if value == 0:
            severity = Severity.ERROR
        else:
            severity = Severity.WARNING
        message = (
            f"a failed job is deleted after {seconds(value)}, and the failed jobs are the dead"
            " letters"
        )
        hint = "leave failure_ttl out (a year), or make it longer than anybody is away"
        yield tell(job, "failure-ttl", severity, place_of(given[1], given[0]), message, hint)


@rule(
    "rq.permanent-not-recorded",
    stage="dead-letter",
    source="stock-screener#49; RQ calls on_failure only for what is raised",
)
def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A permanent error that the handler catches and does not record is lost: the job
    is finished.
    """
    return swallowing.permanent_not_recorded(job)
