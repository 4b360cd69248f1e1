"""The static rules of Huey: what each is about, why it matters, and where it comes from.

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
            "skillrun.frameworks.common" if module == "racing" else "skillrun.frameworks.huey.rules"
        )
        found: Iterable[Finding] = getattr(import_module(f"{package}.{module}"), function)(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "huey.lost-on-kill",
        "retry",
        "Huey acknowledges nothing: the message is gone when its worker is killed, and retries do"
        " not bring it back.",
        "coleifer/huey#559, #598, #844; Huey.dequeue and _execute in huey/api.py",
        _in("running", "lost_on_kill"),
    ),
    Rule(
        "huey.retry-unbounded",
        "retry",
        "RetryTask and CancelExecution(retry=True) use up no retry, so a job that cannot succeed"
        " runs for ever.",
        "`task.retries += 1` for RetryTask in Huey._execute, huey/api.py",
        _in("retrying", "retry_unbounded"),
    ),
    Rule(
        "huey.cancel-is-retried",
        "retry",
        "CancelExecution without retry=False is retried like any other error while retries are"
        " left.",
        "CancelExecution in Huey's API documentation; Huey._execute in huey/api.py",
        _in("retrying", "cancel_is_retried"),
    ),
    Rule(
        "huey.permanent-retried",
        "retry",
        "Huey retries every exception; one that the spec calls permanent only delays the dead"
        " letter.",
        "open-wearables#1053: 462 attempts in a week, none of them successful",
        _in("retrying", "permanent_retried"),
    ),
    Rule(
        "huey.transient-given-up",
        "retry",
        "CancelExecution(retry=False) and task.retries = 0 end the job at once, whatever retries it"
        " has left.",
        "Huey._execute in huey/api.py",
        _in("retrying", "transient_given_up"),
    ),
    Rule(
        "huey.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a completed task for Huey: no"
        " retry, no error.",
        "stock-screener#49: except, then return {'status': 'error'}",
        _in("retrying", "swallowed_exception"),
    ),
    Rule(
        "huey.backoff-without-delay",
        "retry",
        "retry_backoff multiplies retry_delay, which is 0 unless it is given: the retries follow at"
        " once.",
        "Huey._requeue_task in huey/api.py",
        _in("retrying", "backoff_without_delay"),
    ),
    Rule(
        "huey.retry-without-delay",
        "retry",
        "Without retry_delay all attempts are used up within moments, before an outage can pass.",
        "retry_delay=0 in Huey.task, huey/api.py",
        _in("retrying", "retry_without_delay"),
    ),
    Rule(
        "huey.flat-backoff",
        "retry",
        "A constant wait brings all failed jobs back together and never slows down while the other"
        " side is down.",
        "PDF-Assistant-RAG#664; retry_backoff in Huey.task, huey/api.py",
        _in("retrying", "flat_backoff"),
    ),
    Rule(
        "huey.retries-differ",
        "retry",
        "A call that gives retries of its own overrides the task's: the same job is tried"
        " differently often.",
        "TaskWrapper.s and TaskWrapper.schedule in huey/api.py",
        _in("retrying", "retries_differ"),
    ),
    Rule(
        "huey.locked-job-lost",
        "retry",
        "A job that finds its lock taken fails with TaskLockedException; without retries it never"
        " runs.",
        "Huey.lock_task in Huey's API documentation; TaskLockedException in huey/api.py",
        _in("running", "locked_job_lost"),
    ),
    Rule(
        "huey.timeout-not-enforced",
        "retry",
        "The thread worker, which is the default, does not interrupt a task at its timeout.",
        "ThreadEnvironment has no timeout in huey/consumer.py",
        _in("running", "timeout_not_enforced"),
    ),
    Rule(
        "huey.record-every-attempt",
        "dead-letter",
        "SIGNAL_ERROR and on_error come with every failed attempt: a job that succeeds later has a"
        " dead letter too.",
        "Huey._execute and store_intermediate_errors in huey/api.py",
        _in("retrying", "record_every_attempt"),
    ),
    Rule(
        "huey.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: Huey calls the"
        " task complete.",
        "stock-screener#49: except, then return {'status': 'error'}",
        _in("retrying", "permanent_not_recorded"),
    ),
    Rule(
        "huey.never-runs",
        "handler",
        "What Huey cannot call fails when it is defined or at every run: async functions, missing"
        " arguments.",
        "TaskWrapper.create_task in huey/api.py (ConfigurationError; context=True passes task=)",
        _in("publishing", "never_runs"),
    ),
    Rule(
        "huey.reserved-argument",
        "handler",
        "Huey takes eta, delay, retries, expires, priority and others out of the call: the job"
        " never sees them.",
        "TaskWrapper.s in huey/api.py",
        _in("publishing", "reserved_argument"),
    ),
    Rule(
        "huey.publish-in-transaction",
        "handler",
        "A message published inside a transaction can be worked on before the commit, or although"
        " it is rolled back.",
        "saleor#5457, sentry#89284; on_commit_task in huey/contrib/djhuey",
        send_rule("huey", "publish_in_transaction"),
    ),
    Rule(
        "huey.immediate",
        "handler",
        "In immediate mode the job runs inside its caller: slow, without a worker, lost with the"
        " request.",
        "Immediate mode in Huey's guide",
        _in("running", "immediate"),
    ),
    Rule(
        "huey.stale-lock",
        "idempotency",
        "A lock stays locked when its holder is killed: the task never runs again until somebody"
        " clears it.",
        "coleifer/huey#308, #538; Huey.lock_task and the consumer's --flush-locks",
        _in("running", "stale_lock"),
    ),
    Rule(
        "huey.lock-ttl",
        "idempotency",
        "A lock that runs out before the job ends lets a second run in, and most storages refuse a"
        " ttl altogether.",
        "put_if_empty in huey/storage.py (NotImplementedError); openedx#1438 (review)",
        _in("running", "lock_ttl"),
    ),
    Rule(
        "huey.publish-unkeyed",
        "idempotency",
        "A job that publishes another one does so again on every attempt; Huey does not"
        " de-duplicate.",
        "posthog#62708 (review): publishing inside something that is retried",
        _in("publishing", "publish_unkeyed"),
    ),
    Rule(
        "huey.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("racing", "check_then_act"),
    ),
    Rule(
        "huey.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "huey.period-overlap",
        "idempotency",
        "A schedule that is shorter than the run starts a second run beside the first.",
        "django-cronjobs#1",
        _in("running", "period_overlap"),
    ),
    Rule(
        "huey.crontab-minute",
        "contract",
        "crontab(hour='3') fires every minute from 3:00 to 3:59, because minute is '*' unless it is"
        " given.",
        "crontab in huey/api.py; flake8-pie PIE784",
        _in("running", "crontab_minute"),
    ),
    Rule(
        "huey.object-argument",
        "contract",
        "A database row as an argument is pickled as it was when it was sent, and is stale when the"
        " job runs; JSON cannot carry it.",
        "mozilla/experimenter#1631, mytardis#1420",
        send_rule("huey", "object_argument"),
    ),
    Rule(
        "huey.pickle-serializer",
        "contract",
        "Huey pickles its messages: whoever writes to a shared Redis runs code in the worker.",
        "huey/serializer.py (SignedSerializer)",
        send_rule("huey", "pickle_serializer"),
    ),
)
