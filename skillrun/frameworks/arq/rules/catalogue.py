"""The static rules of arq: what each is about, why it matters, and where it comes from.

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
            "skillrun.frameworks.common" if module == "racing" else "skillrun.frameworks.arq.rules"
        )
        found: Iterable[Finding] = getattr(import_module(f"{package}.{module}"), function)(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "arq.plain-exception",
        "retry",
        "arq runs a job again for Retry (and when it is cancelled); any other exception ends it at"
        " the first try.",
        "Retrying jobs and cancellation in arq's documentation; run_job in arq/worker.py",
        _in("retrying", "plain_exception"),
    ),
    Rule(
        "arq.permanent-retried",
        "retry",
        "An error that the spec calls permanent is raised as Retry: trying again only delays the"
        " dead letter.",
        "Retry in arq/worker.py; open-wearables#1053: 462 attempts in a week, none of them"
        " successful",
        _in("retrying", "permanent_retried"),
    ),
    Rule(
        "arq.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a completed job for arq.",
        "run_job in arq/worker.py; stock-screener#49: except, then return {'status': 'error'}",
        _in("retrying", "swallowed_exception"),
    ),
    Rule(
        "arq.retry-swallowed",
        "retry",
        "Retry is a RuntimeError, so a broad clause around it takes it, and the job counts as"
        " done.",
        "class Retry(RuntimeError) in arq/worker.py",
        _in("retrying", "retry_swallowed"),
    ),
    Rule(
        "arq.retry-jobs-off",
        "retry",
        "With retry_jobs=False neither Retry nor a cancelled job is run again.",
        "retry_jobs in arq/worker.py",
        _in("retrying", "retry_jobs_off"),
    ),
    Rule(
        "arq.retry-without-defer",
        "retry",
        "Retry without defer is run again at once: all tries are used up before an outage can"
        " pass.",
        "Retry and finish_job in arq/worker.py",
        _in("retrying", "retry_without_defer"),
    ),
    Rule(
        "arq.flat-defer",
        "retry",
        "A constant wait brings all failed jobs back together and never slows down while the other"
        " side is down.",
        "defer=ctx['job_try'] * 5 in arq's documentation; PDF-Assistant-RAG#664",
        _in("retrying", "flat_defer"),
    ),
    Rule(
        "arq.tries-below-spec",
        "retry",
        "max_tries, 5 by default, ends the job before the attempts that the spec promises.",
        "max_tries in arq/worker.py",
        _in("retrying", "tries_below_spec"),
    ),
    Rule(
        "arq.expires-before-retries",
        "retry",
        "A job's definition expires, a day after it was due by default: a retry that waits longer"
        " finds nothing.",
        "expires_extra_ms in arq/constants.py; `job expired` in run_job, arq/worker.py",
        _in("enqueueing", "expires_before_retries"),
    ),
    Rule(
        "arq.last-try-unheard",
        "dead-letter",
        "A Retry at the last try is given up by arq before the handler is called again, so nothing"
        " records it.",
        "`max retries exceeded` in run_job, arq/worker.py",
        _in("giving_up", "last_try_unheard"),
    ),
    Rule(
        "arq.no-room-for-deaths",
        "dead-letter",
        "Each begun run uses up a try: a worker that dies in the last one leaves no dead letter.",
        "the counter arq:retry:<id> in run_job, arq/worker.py",
        _in("giving_up", "no_room_for_deaths"),
    ),
    Rule(
        "arq.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: arq calls the job"
        " complete.",
        "run_job in arq/worker.py; stock-screener#49",
        _in("giving_up", "permanent_not_recorded"),
    ),
    Rule(
        "arq.failure-unrecorded",
        "dead-letter",
        "arq keeps no dead letters: the result of a failed job is deleted after keep_result.",
        "keep_result in arq/worker.py; python-arq/arq#167",
        _in("giving_up", "failure_unrecorded"),
    ),
    Rule(
        "arq.job-id-in-the-way",
        "dead-letter",
        "While the result of a failed job is kept, enqueue_job refuses its id: it cannot be run"
        " once more.",
        "python-arq/arq#432, #531; enqueue_job in arq/connections.py",
        _in("giving_up", "job_id_in_the_way"),
    ),
    Rule(
        "arq.hook-ends-worker",
        "dead-letter",
        "An exception out of on_job_start, on_job_end or after_job_end ends the worker with all its"
        " jobs.",
        "t.result() in Worker._poll_iteration, arq/worker.py",
        _in("giving_up", "hook_ends_worker"),
    ),
    Rule(
        "arq.never-runs",
        "handler",
        "arq runs coroutine functions that take ctx first; anything else fails at the worker's"
        " start, or at every run.",
        "func and run_job in arq/worker.py",
        _in("running", "never_runs"),
    ),
    Rule(
        "arq.inherited-settings",
        "handler",
        "arq reads the attributes of the settings class itself; what it inherits is silently left"
        " at its default.",
        "get_kwargs in arq/worker.py",
        _in("running", "inherited_settings"),
    ),
    Rule(
        "arq.unknown-name",
        "handler",
        "A job is found by its name in the worker: with another name it fails as soon as it is"
        " taken.",
        "`function not found` in run_job, arq/worker.py",
        _in("enqueueing", "unknown_name"),
    ),
    Rule(
        "arq.unread-queue",
        "handler",
        "A job in a queue that no worker of it reads waits until it expires.",
        "queue_name in arq/worker.py and _queue_name in arq/connections.py",
        _in("running", "handler_unlisted_queue"),
    ),
    Rule(
        "arq.not-awaited",
        "handler",
        "enqueue_job is a coroutine: without await nothing is enqueued.",
        "enqueue_job in arq/connections.py",
        send_rule("arq", "not_awaited"),
    ),
    Rule(
        "arq.wrong-arguments",
        "handler",
        "arq does not compare arguments when a job is enqueued: what does not fit fails in the"
        " worker.",
        "enqueue_job in arq/connections.py, run_job in arq/worker.py",
        send_rule("arq", "wrong_arguments"),
    ),
    Rule(
        "arq.publish-in-transaction",
        "handler",
        "A job enqueued inside a transaction can be run before the commit, or although it is rolled"
        " back.",
        "saleor#5457, sentry#89284",
        send_rule("arq", "publish_in_transaction"),
    ),
    Rule(
        "arq.dedupe-forgotten",
        "idempotency",
        "_job_id keeps a second job out only while the job or its result is there: an hour after"
        " its end by default.",
        "python-arq/arq#432, #531, #167; enqueue_job in arq/connections.py",
        _in("enqueueing", "dedupe_forgotten"),
    ),
    Rule(
        "arq.none-ignored",
        "idempotency",
        "enqueue_job returns None instead of a job where its id is in use; then nothing was"
        " enqueued.",
        "enqueue_job in arq/connections.py",
        _in("enqueueing", "none_ignored"),
    ),
    Rule(
        "arq.publish-unkeyed",
        "idempotency",
        "A job that enqueues another one does so again on every run.",
        "posthog#62708 (review): publishing inside something that is retried",
        send_rule("arq", "publish_unkeyed"),
    ),
    Rule(
        "arq.shared-session",
        "idempotency",
        "A database session in ctx is shared by all jobs of a worker: one job's commit or rollback"
        " is another's.",
        "max_jobs in arq/worker.py; Is the AsyncSession safe to share in concurrent tasks,"
        " SQLAlchemy's documentation",
        _in("running", "shared_session"),
    ),
    Rule(
        "arq.cron-not-unique",
        "idempotency",
        "With unique=False each worker enqueues the tick, and it runs as often as there are"
        " workers.",
        "cron in arq/cron.py, run_cron in arq/worker.py",
        _in("running", "cron_not_unique"),
    ),
    Rule(
        "arq.cron-at-startup",
        "idempotency",
        "run_at_startup runs the job in each worker that starts: its id is made of the moment.",
        "run_cron in arq/worker.py",
        _in("running", "cron_at_startup"),
    ),
    Rule(
        "arq.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("racing", "check_then_act"),
    ),
    Rule(
        "arq.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "arq.cron-every-second",
        "contract",
        "cron(f, hour=3) runs every minute from 3:00 to 3:59, and second=None every second.",
        "cron in arq/cron.py",
        _in("running", "cron_every_second"),
    ),
    Rule(
        "arq.object-argument",
        "contract",
        "A database row as an argument is pickled as it was when it was enqueued, and is stale when"
        " the job runs; JSON cannot carry it.",
        "mozilla/experimenter#1631, mytardis#1420",
        send_rule("arq", "object_argument"),
    ),
    Rule(
        "arq.pickle-serializer",
        "contract",
        "arq pickles its jobs: whoever writes to a shared Redis runs code in the worker.",
        "Custom job serializers in arq's documentation; serialize_job in arq/jobs.py",
        send_rule("arq", "pickle_serializer"),
    ),
)
