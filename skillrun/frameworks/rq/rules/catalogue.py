"""The static rules of RQ: what each is about, why it matters, and where it comes from.

A rule is an error only where the code contradicts for certain; what depends on timing or on what
cannot be read is a warning or a note. The functions are imported when a rule is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from skillrun.core.verdict import Finding
from skillrun.frameworks.common.sender import send_rule
from skillrun.frameworks.interface import Job, Rule


def _in(module: str, function: str) -> Callable[[Job], Iterable[Finding]]:
    def find(job: Job) -> Iterable[Finding]:
        found: Iterable[Finding] = getattr(
            import_module(f"skillrun.frameworks.{module}"), function
        )(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "rq.no-scheduler",
        "retry",
        "Without a scheduler nothing moves a job out of the ScheduledJobRegistry: its retry never"
        " comes.",
        "cvat-ai/cvat#10578, rq/rq#1624; RQ's documentation, Exceptions & Retries",
        _in("rq.rules.retrying", "no_scheduler"),
    ),
    Rule(
        "rq.retry-differs",
        "retry",
        "Retries are given where a job is enqueued, so one forgotten place leaves the same job"
        " without them.",
        "RQ's documentation, Retrying Failed Jobs; rq/cron.py and rq/rq-scheduler#276 (neither"
        " takes a Retry)",
        _in("rq.rules.retrying", "retry_differs"),
    ),
    Rule(
        "rq.interval-length",
        "retry",
        "A list of intervals that is not as long as max repeats its first value, or never uses it.",
        "Job.get_retry_interval in rq/job.py",
        _in("rq.rules.retrying", "interval_length"),
    ),
    Rule(
        "rq.decorator-ignored",
        "retry",
        "queue.enqueue(f) does not look at the decorator of f: its retry, timeout and callbacks are"
        " lost.",
        "rq/decorators.py: only the delay and enqueue that it adds pass its options on",
        _in("rq.rules.retrying", "decorator_ignored"),
    ),
    Rule(
        "rq.permanent-retried",
        "retry",
        "RQ retries whatever the function lets out: an error that will not pass by waiting too.",
        "open-wearables#1053; Worker.handle_job_failure in rq/worker/base.py",
        _in("rq.rules.retrying", "permanent_retried"),
    ),
    Rule(
        "rq.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise makes the job finished: no retry,"
        " no failed job.",
        "stock-screener#49: except, then return {'status': 'error'}",
        _in("rq.rules.retrying", "swallowed_exception"),
    ),
    Rule(
        "rq.timeout-swallowed",
        "retry",
        "JobTimeoutException is an Exception: a broad clause swallows it, and the job runs on until"
        " it is killed.",
        "perma#2032 (the same with Celery); rq/timeouts.py; netbox/jobs.py names it before its"
        " broad clause",
        _in("rq.rules.retrying", "timeout_swallowed"),
    ),
    Rule(
        "rq.failure-each-attempt",
        "dead-letter",
        "on_failure runs after every failed attempt: what it records is no dead letter while"
        " retries are left.",
        "Worker._finalize_failure in rq/worker/base.py",
        _in("rq.rules.dead_letters", "failure_each_attempt"),
    ),
    Rule(
        "rq.killed-not-recorded",
        "dead-letter",
        "A work horse that is killed (out of memory) calls no on_failure: only the"
        " FailedJobRegistry knows.",
        "rq/rq#1461, #2015, #2236; monitor_work_horse in rq/worker/worker_classes.py",
        _in("rq.rules.dead_letters", "killed_not_recorded"),
    ),
    Rule(
        "rq.registry-off",
        "dead-letter",
        "A worker without the default exception handler puts no failed job into the"
        " FailedJobRegistry.",
        "disable_default_exception_handler in rq/worker/base.py",
        _in("rq.rules.dead_letters", "registry_off"),
    ),
    Rule(
        "rq.failure-ttl",
        "dead-letter",
        "A failed job is deleted after failure_ttl: a short one empties the dead letters before"
        " anybody looks.",
        "FailedJobRegistry.add in rq/registry.py",
        _in("rq.rules.dead_letters", "failure_ttl"),
    ),
    Rule(
        "rq.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: the job is"
        " finished.",
        "stock-screener#49; RQ calls on_failure only for what is raised",
        _in("common.swallowing", "permanent_not_recorded"),
    ),
    Rule(
        "rq.reserved-argument",
        "handler",
        "enqueue takes some names for itself (description, meta, ttl, timeout, ...): the function"
        " never gets them.",
        "Queue.parse_args in rq/queue.py",
        _in("rq.rules.publishing", "reserved_argument"),
    ),
    Rule(
        "rq.wrong-arguments",
        "handler",
        "RQ does not compare arguments with the function: a wrong call is found by the worker, and"
        " is retried.",
        "Queue.enqueue in rq/queue.py",
        send_rule("rq", "wrong_arguments"),
    ),
    Rule(
        "rq.publish-in-transaction",
        "handler",
        "A job enqueued inside a transaction can run before the commit, or although it is rolled"
        " back.",
        "saleor#5457, sentry#89284, ui/django-rq#187",
        send_rule("rq", "publish_in_transaction"),
    ),
    Rule(
        "rq.publish-unkeyed",
        "idempotency",
        "A job that enqueues another one does so again in every attempt.",
        "posthog#62708 (review)",
        send_rule("rq", "publish_unkeyed"),
    ),
    Rule(
        "rq.job-id-no-dedupe",
        "idempotency",
        "job_id alone keeps no second job out: without unique=True the same id is queued twice.",
        "unique in Queue.enqueue_call, rq/queue.py",
        _in("rq.rules.publishing", "job_id_no_dedupe"),
    ),
    Rule(
        "rq.object-argument",
        "contract",
        "A database row as an argument is pickled as it was when it was sent, and is stale when the"
        " job runs.",
        "mozilla/experimenter#1631, mytardis#1420, osidb#682",
        send_rule("rq", "object_argument"),
    ),
    Rule(
        "rq.pickle-serializer",
        "contract",
        "RQ pickles jobs by default: whoever can write to Redis runs code in the worker.",
        "rq/serializers.py; RQ's documentation, Security considerations",
        send_rule("rq", "pickle_serializer"),
    ),
    Rule(
        "rq.lock-ttl",
        "idempotency",
        "A lock that runs out before the job ends, or between its attempts, lets a second run in.",
        "openedx#1438 (review), python-redis-lock#93",
        _in("common.racing", "lock_ttl"),
    ),
    Rule(
        "rq.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832; rq/rq#2193 (one job in two workers)",
        _in("common.racing", "check_then_act"),
    ),
    Rule(
        "rq.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("common.racing", "select_for_update_outside_transaction"),
    ),
)
