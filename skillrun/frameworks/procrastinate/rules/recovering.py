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
from skillrun.frameworks.rulebook import rule

_HINT = (
    "a periodic task that calls app.job_manager.get_stalled_jobs() and retry_job() for each of them"
)


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


@rule(
    "procrastinate.stalled-never-retried",
    stage="retry",
    rests_on="setup",
    source=(
        "Retry stalled jobs in Procrastinate's documentation; procrastinate#307, #1518; geolens#624"
    ),
)
def stalled_never_retried(job: Job) -> Iterator[Finding]:
    """The job of a worker that dies stays `doing` until code of the application's own gives it
    back.

    No code of the repository's asks for stalled jobs.
    """
    task = _task_of(job)
    if task.registered is not None and not find_recoveries(job.project, job.use):
        message = (
            "the job of a worker that dies stays `doing` for ever: nothing here calls"
            " get_stalled_jobs"
        )
        # Then nobody waits for it, but it is not seen.
        once = job.spec.retry is not None and job.spec.retry.kind == "none"
        if once:
            severity = Severity.WARNING
        else:
            severity = Severity.ERROR
        yield tell(job, "stalled-never-retried", severity, task.registered, message, _HINT)


@rule(
    "procrastinate.lock-held-for-ever",
    stage="retry",
    rests_on="setup",
    source="procrastinate_fetch_job_v2 in procrastinate/sql/schema.sql; procrastinate#1518",
)
def lock_held_for_ever(job: Job) -> Iterator[Finding]:
    """No two jobs with one lock are `doing`: that of a dead worker keeps all others with its lock
    waiting.
    """
    if find_recoveries(job.project, job.use):
        return
    option = _task_of(job).option("lock")
    places = []
    if option:
        places = [place_of(option[1], option[0])]
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


@rule(
    "procrastinate.stalled-by-age",
    stage="idempotency",
    source="get_stalled_jobs in procrastinate/manager.py, where it is deprecated",
)
def stalled_by_age(job: Job) -> Iterator[Finding]:
    """get_stalled_jobs(nb_seconds=...) goes by a job's age: a slow one is run a second time beside
    itself.
    """
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


@rule(
    "procrastinate.stalled-unbounded",
    stage="retry",
    source=(
        "procrastinate_retry_job_v2 in procrastinate/sql/schema.sql; get_retry_decision in"
        " procrastinate/retry.py"
    ),
)
def stalled_unbounded(job: Job) -> Iterator[Finding]:
    """Only an exception is held against max_attempts: a job that kills its worker is given back
    without a bound.
    """
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


@rule(
    "procrastinate.recovery-not-scheduled",
    stage="retry",
    source="Retry stalled jobs in Procrastinate's documentation",
)
def recovery_not_scheduled(job: Job) -> Iterator[Finding]:
    """Stalled jobs are only given back where something calls the code that does it, again and
    again.

    The code is there, and no periodic task comes to it.
    """
    recoveries = find_recoveries(job.project, job.use)
    if recoveries and not any(recovery.periodic for recovery in recoveries):
        message = "stalled jobs are looked for here, and no periodic task calls it: who does?"
        hint = '@app.periodic(cron="*/10 * * * *") over the task that does it'
        yield tell(
            job, "recovery-not-scheduled", Severity.WARNING, recoveries[0].place, message, hint
        )
