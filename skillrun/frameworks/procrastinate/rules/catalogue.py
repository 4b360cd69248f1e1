"""The static rules of Procrastinate: what each is about, why it matters, and where it comes from.

A rule is an error only where the code contradicts for certain; what depends on timing or on what
cannot be read is a warning or a note. The functions are imported when a rule is first used, so that
listing the rules costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from skillrun.core.verdict import Finding
from skillrun.frameworks.common.sender import send_rule
from skillrun.frameworks.interface import Job, Rule


def _in(module: str, function: str) -> Callable[[Job], Iterable[Finding]]:
    def find(job: Job) -> Iterable[Finding]:
        package = (
            "skillrun.frameworks.common"
            if module == "racing"
            else "skillrun.frameworks.procrastinate.rules"
        )
        found: Iterable[Finding] = getattr(import_module(f"{package}.{module}"), function)(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "procrastinate.stalled-never-retried",
        "retry",
        "The job of a worker that dies stays `doing` until code of the application's own gives it"
        " back.",
        "Retry stalled jobs in Procrastinate's documentation; procrastinate#307, #1518;"
        " geolens#624",
        _in("recovering", "stalled_never_retried"),
    ),
    Rule(
        "procrastinate.lock-held-for-ever",
        "retry",
        "No two jobs with one lock are `doing`: that of a dead worker keeps all others with its"
        " lock waiting.",
        "procrastinate_fetch_job_v2 in procrastinate/sql/schema.sql; procrastinate#1518",
        _in("recovering", "lock_held_for_ever"),
    ),
    Rule(
        "procrastinate.stalled-by-age",
        "idempotency",
        "get_stalled_jobs(nb_seconds=...) goes by a job's age: a slow one is run a second time"
        " beside itself.",
        "get_stalled_jobs in procrastinate/manager.py, where it is deprecated",
        _in("recovering", "stalled_by_age"),
    ),
    Rule(
        "procrastinate.stalled-unbounded",
        "retry",
        "Only an exception is held against max_attempts: a job that kills its worker is given back"
        " without a bound.",
        "procrastinate_retry_job_v2 in procrastinate/sql/schema.sql; get_retry_decision in"
        " procrastinate/retry.py",
        _in("recovering", "stalled_unbounded"),
    ),
    Rule(
        "procrastinate.recovery-not-scheduled",
        "retry",
        "Stalled jobs are only given back where something calls the code that does it, again and"
        " again.",
        "Retry stalled jobs in Procrastinate's documentation",
        _in("recovering", "recovery_not_scheduled"),
    ),
    Rule(
        "procrastinate.retry-unbounded",
        "retry",
        "retry=True, and RetryStrategy with max_attempts left out or 0, retry for ever.",
        "RetryStrategy.get_retry_decision in procrastinate/retry.py",
        _in("retrying", "retry_unbounded"),
    ),
    Rule(
        "procrastinate.attempts-off-by-one",
        "retry",
        "max_attempts, and a number given as retry, count the retries: the job is run once more"
        " than that.",
        "RetryStrategy.get_retry_decision in procrastinate/retry.py: job.attempts is 0 in the"
        " first run",
        _in("retrying", "attempts_off_by_one"),
    ),
    Rule(
        "procrastinate.retry-at-once",
        "retry",
        "Retries without a wait are used up before an outage can pass; linear_wait starts with"
        " none.",
        "RetryStrategy in procrastinate/retry.py: wait + linear_wait * attempts + exponential_wait"
        " ** (attempts + 1)",
        _in("retrying", "retry_at_once"),
    ),
    Rule(
        "procrastinate.flat-wait",
        "retry",
        "A constant wait brings all failed jobs back together and never slows down while the other"
        " side is down.",
        "RetryStrategy in procrastinate/retry.py; PDF-Assistant-RAG#664",
        _in("retrying", "flat_wait"),
    ),
    Rule(
        "procrastinate.permanent-retried",
        "retry",
        "Without retry_exceptions every exception is retried, also one that will come back each"
        " time.",
        "RetryStrategy.retry_exceptions in procrastinate/retry.py; open-wearables#1053: 462"
        " attempts in a week",
        _in("retrying", "permanent_retried"),
    ),
    Rule(
        "procrastinate.transient-not-retried",
        "retry",
        "A task without retry, or an exception that retry_exceptions lacks, fails its job at once.",
        "Task.get_retry_exception in procrastinate/tasks.py",
        _in("retrying", "transient_not_retried"),
    ),
    Rule(
        "procrastinate.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a job that succeeded.",
        "_process_job in procrastinate/worker.py; stock-screener#49: except, then return {'status':"
        " 'error'}",
        _in("retrying", "swallowed_exception"),
    ),
    Rule(
        "procrastinate.failure-unrecorded",
        "dead-letter",
        "Procrastinate keeps a failed job's row and nothing else: a table of one's own is written"
        " by the handler.",
        "_persist_job_status in procrastinate/worker.py",
        _in("giving_up", "failure_unrecorded"),
    ),
    Rule(
        "procrastinate.failed-deleted",
        "dead-letter",
        "The status `failed` is the only dead letter, and these options delete it.",
        "DeleteJobCondition in procrastinate/jobs.py; remove_old_jobs in"
        " procrastinate/builtin_tasks.py",
        _in("giving_up", "failed_deleted"),
    ),
    Rule(
        "procrastinate.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: the job has"
        " succeeded.",
        "_process_job in procrastinate/worker.py; stock-screener#49",
        _in("giving_up", "permanent_not_recorded"),
    ),
    Rule(
        "procrastinate.positional-arguments",
        "handler",
        "Task.defer(1, 2) drops what it is given by position, and the job fails in the worker.",
        "Task.defer(self, *_, **task_kwargs) in procrastinate/tasks.py",
        _in("deferring", "positional_arguments"),
    ),
    Rule(
        "procrastinate.wrong-arguments",
        "handler",
        "Arguments are not held against the function when a job is deferred.",
        "JobDeferrer.make_new_job in procrastinate/jobs.py",
        send_rule("procrastinate", "wrong_arguments"),
    ),
    Rule(
        "procrastinate.not-awaited",
        "handler",
        "defer_async is a coroutine: without await nothing is deferred.",
        "Task.defer_async in procrastinate/tasks.py",
        send_rule("procrastinate", "not_awaited"),
    ),
    Rule(
        "procrastinate.defer-in-coroutine",
        "handler",
        "defer goes through asgiref's AsyncToSync where the app is open_async, which raises in a"
        " running loop.",
        "BaseAsyncConnector in procrastinate/connector.py; get_sync_connector in"
        " procrastinate/psycopg_connector.py",
        _in("deferring", "defer_in_coroutine"),
    ),
    Rule(
        "procrastinate.already-enqueued",
        "handler",
        "A queueing lock that a waiting job has makes defer raise AlreadyEnqueued.",
        "_raise_already_enqueued in procrastinate/manager.py",
        _in("deferring", "already_enqueued"),
    ),
    Rule(
        "procrastinate.publish-in-transaction",
        "handler",
        "The app's own connections commit at once: a worker may be faster than the transaction,"
        " which may roll back.",
        "Task.configure(connection=) in procrastinate/tasks.py; saleor#5457",
        send_rule("procrastinate", "publish_in_transaction"),
    ),
    Rule(
        "procrastinate.publish-unkeyed",
        "idempotency",
        "A job that defers another one does so once more for each run.",
        "posthog#62708; queueing_lock in procrastinate/sql/schema.sql holds for status `todo`"
        " alone",
        send_rule("procrastinate", "publish_unkeyed"),
    ),
    Rule(
        "procrastinate.object-argument",
        "handler",
        "Arguments are kept as JSON: a database row cannot be written as that.",
        "procrastinate_jobs.args in procrastinate/sql/schema.sql; experimenter#1631",
        send_rule("procrastinate", "object_argument"),
    ),
    Rule(
        "procrastinate.periodic-timestamp",
        "handler",
        "A periodic task is called with timestamp= each time.",
        "PeriodicDeferrer.defer_jobs in procrastinate/periodic.py",
        _in("running", "periodic_timestamp"),
    ),
    Rule(
        "procrastinate.periodic-overlap",
        "idempotency",
        "Ticks are deferred whether the last one has ended or not.",
        "PeriodicDeferrer in procrastinate/periodic.py; django-celery-beat#331",
        _in("running", "periodic_overlap"),
    ),
    Rule(
        "procrastinate.shutdown-aborts",
        "retry",
        "After shutdown_graceful_timeout a coroutine is cancelled: unless its strategy retries"
        " that, it is `aborted`.",
        "_abort_running_jobs and _process_job in procrastinate/worker.py",
        _in("running", "shutdown_aborts"),
    ),
    Rule(
        "procrastinate.task-not-imported",
        "handler",
        "A worker knows the tasks of the modules that it imports: any other fails with"
        " TaskNotFound.",
        "App(import_paths=) in procrastinate/app.py",
        _in("running", "task_not_imported"),
    ),
    Rule(
        "procrastinate.check-then-act",
        "idempotency",
        "Two runs at once both see that nothing is there, and both act.",
        "hermes-agent#57832; a stalled worker's job may run beside the one that was given back",
        _in("racing", "check_then_act"),
    ),
    Rule(
        "procrastinate.select-for-update-outside-transaction",
        "idempotency",
        "A row lock is gone at the end of its transaction, which without one is the statement.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("racing", "select_for_update_outside_transaction"),
    ),
)
