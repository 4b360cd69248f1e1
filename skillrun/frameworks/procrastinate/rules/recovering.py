"""Rules about the jobs of workers that died: Procrastinate leaves them `doing`."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_real_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.procrastinate.recovery import find_recoveries
from skillrun.frameworks.procrastinate.sends import SENDER
from skillrun.frameworks.procrastinate.tasks import Task, read_task

_HINT = (
    "a periodic task that calls app.job_manager.get_stalled_jobs() and retry_job() for each of them"
)


def _task(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


def stalled_never_retried(job: Job) -> Iterator[Finding]:
    """No code of the repository's asks for stalled jobs."""
    task = _task(job)
    if task.registered is not None and not find_recoveries(job.project, job.use):
        message = (
            "the job of a worker that dies stays `doing` for ever: nothing here calls"
            " get_stalled_jobs"
        )
        # Then nobody waits for it, but it is not seen.
        once = job.spec.retry is not None and job.spec.retry.kind == "none"
        severity = Severity.WARNING if once else Severity.ERROR
        yield tell(job, "stalled-never-retried", severity, task.registered, message, _HINT)


def lock_held_for_ever(job: Job) -> Iterator[Finding]:
    """A job that stays `doing` keeps its lock, and every other job with it waits."""
    if find_recoveries(job.project, job.use):
        return
    option = _task(job).option("lock")
    places = [place_of(option[1], option[0])] if option else []
    for send in find_real_sends(job, SENDER):
        given = send.option("lock")
        if given is not None:
            places.append(place_of(given[1], given[0]))
    for place in places[:1]:
        message = (
            "a worker that dies keeps this lock: no job with it is run until somebody retries the"
            " stalled one"
        )
        yield tell(job, "lock-held-for-ever", Severity.ERROR, place, message, _HINT)


def stalled_by_age(job: Job) -> Iterator[Finding]:
    """`nb_seconds` takes a slow job for a stalled one."""
    for recovery in find_recoveries(job.project, job.use):
        node = recovery.by_age
        if node is not None:
            message = (
                "nb_seconds goes by a job's age: one that is only slow is run a second time beside"
                " itself"
            )
            hint = (
                "leave it out: get_stalled_jobs then goes by the heartbeats of workers"
                " (Procrastinate 3)"
            )
            yield tell(
                job,
                "stalled-by-age",
                Severity.WARNING,
                place_of(recovery.module, node),
                message,
                hint,
            )


def stalled_unbounded(job: Job) -> Iterator[Finding]:
    """A job that kills its worker is given back each time."""
    for recovery in find_recoveries(job.project, job.use)[:1]:
        if not recovery.asks_attempts:
            message = (
                "a job that kills every worker comes back for ever: retry_job asks for no bound"
            )
            hint = (
                "where job.attempts is too high: finish_job_by_id_async(job.id, Status.FAILED,"
                " delete_job=False)"
            )
            yield tell(job, "stalled-unbounded", Severity.NOTE, recovery.place, message, hint)


def recovery_not_scheduled(job: Job) -> Iterator[Finding]:
    """The code is there, and no periodic task comes to it."""
    recoveries = find_recoveries(job.project, job.use)
    if recoveries and not any(recovery.periodic for recovery in recoveries):
        message = "stalled jobs are looked for here, and no periodic task calls it: who does?"
        hint = '@app.periodic(cron="*/10 * * * *") over the task that does it'
        yield tell(
            job, "recovery-not-scheduled", Severity.WARNING, recoveries[0].place, message, hint
        )
