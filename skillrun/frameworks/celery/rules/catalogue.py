"""The static rules of Celery: what each is about, why it matters, and where it comes from.

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
        found: Iterable[Finding] = getattr(
            import_module(f"skillrun.frameworks.{module}"), function
        )(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "celery.visibility-timeout",
        "retry",
        "A message that waits (countdown, eta, backoff) beyond the"
        " visibility timeout of Redis or SQS runs several times.",
        "celery/kombu#337, celery/celery#2599, #2481, #3270; visibility_timeout in"
        " kombu/transport/redis.py and SQS",
        _in("celery.rules.delivery", "visibility_timeout"),
    ),
    Rule(
        "celery.acks-late-worker-lost",
        "retry",
        "acks_late does not save a job whose process is killed: Celery"
        " acknowledges it unless reject_on_worker_lost is set.",
        "celery/celery#1628; Task.reject_on_worker_lost in celery/app/task.py",
        _in("celery.rules.delivery", "acks_late_worker_lost"),
    ),
    Rule(
        "celery.redelivery-loop",
        "dead-letter",
        "With acks_late and reject_on_worker_lost a job that kills its"
        " worker comes back without end: max_retries does not"
        " count deliveries.",
        "OasisLMF/OasisPlatform#975; the warning at Task.reject_on_worker_lost in"
        " celery/app/task.py",
        _in("celery.rules.delivery", "redelivery_loop"),
    ),
    Rule(
        "celery.retry-unbounded",
        "retry",
        "max_retries=None retries for ever, so a job that cannot succeed occupies workers for"
        " ever.",
        "joeflow#28; Task.max_retries in celery/app/task.py",
        _in("celery.rules.retrying", "retry_unbounded"),
    ),
    Rule(
        "celery.retry-everything",
        "retry",
        "Retrying every exception repeats bad input and programming errors that no wait can mend.",
        "PDF-Assistant-RAG#664: autoretry_for=(Exception,)",
        _in("celery.rules.retrying", "retry_everything"),
    ),
    Rule(
        "celery.flat-backoff",
        "retry",
        "A constant wait brings all failed jobs back together and never slows down while the other"
        " side is down.",
        "PDF-Assistant-RAG#664; retry_backoff in celery/app/autoretry.py",
        _in("celery.rules.retrying", "flat_backoff"),
    ),
    Rule(
        "celery.retry-without-exc",
        "retry",
        "self.retry() without exc hides the cause: the job ends with MaxRetriesExceededError.",
        "celery/celery#6358; Task.retry in celery/app/task.py",
        _in("celery.rules.retrying", "retry_without_exc"),
    ),
    Rule(
        "celery.permanent-retried",
        "retry",
        "An error that the spec calls permanent will not pass by waiting; retrying it only delays"
        " the dead letter.",
        "open-wearables#1053: 462 attempts in a week, none of them successful",
        _in("celery.rules.retrying", "permanent_retried"),
    ),
    Rule(
        "celery.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a SUCCESS for Celery: no"
        " retry, no dead letter.",
        "stock-screener#49: except, then return {'status': 'error'}",
        _in("common.swallowing", "swallowed_exception"),
    ),
    Rule(
        "celery.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: Celery reports"
        " SUCCESS.",
        "stock-screener#49: except, then return {'status': 'error'}; Task.on_failure is not called"
        " for what is caught",
        _in("common.swallowing", "permanent_not_recorded"),
    ),
    Rule(
        "celery.soft-time-limit-swallowed",
        "retry",
        "SoftTimeLimitExceeded is an Exception: a broad clause swallows it, and the job runs on"
        " into the hard limit.",
        "perma#2032, celery/billiard#240",
        _in("celery.rules.swallowing", "soft_time_limit_swallowed"),
    ),
    Rule(
        "celery.publish-in-transaction",
        "handler",
        "A message published inside a transaction can be worked on before the commit, or although"
        " it is rolled back.",
        "saleor#5457, sentry#89284, zamboni#1307; DjangoTask.delay_on_commit in"
        " celery/contrib/django/task.py",
        send_rule("celery", "publish_in_transaction"),
    ),
    Rule(
        "celery.wrong-arguments",
        "handler",
        "Celery compares the arguments with the task's signature when it publishes: a wrong call"
        " raises in the caller.",
        "Task.typing and apply_async in celery/app/task.py",
        send_rule("celery", "wrong_arguments"),
    ),
    Rule(
        "celery.always-eager",
        "handler",
        "With task_always_eager the job runs inside its caller: slow, not retried by a worker, lost"
        " with the request.",
        "task_always_eager in Celery's configuration reference",
        _in("celery.rules.delivery", "always_eager"),
    ),
    Rule(
        "celery.publish-unkeyed",
        "idempotency",
        "A job that publishes another one does so again on every redelivery and attempt.",
        "posthog#62708 (review): .delay() without a task_id in something that is retried",
        send_rule("celery", "publish_unkeyed"),
    ),
    Rule(
        "celery.object-argument",
        "contract",
        "A database row as an argument cannot be sent as JSON, and as pickle it is stale when the"
        " job runs.",
        "mozilla/experimenter#1631, mytardis#1420, osidb#682",
        send_rule("celery", "object_argument"),
    ),
    Rule(
        "celery.pickle-serializer",
        "contract",
        "pickle lets whoever writes to the broker run code in the worker, and breaks queued jobs"
        " when a class moves.",
        "Security section of Celery's user guide",
        send_rule("celery", "pickle_serializer"),
    ),
    Rule(
        "celery.task-name-missing",
        "handler",
        "Without name= the module path is the name, and moving the function orphans the queued"
        " messages.",
        "celery/celery#2092; flake8-pie PIE783",
        _in("celery.rules.publishing", "task_name_missing"),
    ),
    Rule(
        "celery.task-name-renamed",
        "handler",
        "A message under a name that no task has is discarded by the worker as unregistered.",
        "celery/celery#2092, tapir#485",
        _in("celery.rules.publishing", "task_name_renamed"),
    ),
    Rule(
        "celery.lock-ttl",
        "idempotency",
        "A lock that runs out before the job ends, or between its attempts, lets a second"
        " delivery in.",
        "openedx#1438 (review), python-redis-lock#93",
        _in("common.racing", "lock_ttl"),
    ),
    Rule(
        "celery.check-then-act",
        "idempotency",
        "Two deliveries at once both look before either writes; only a unique key or one atomic"
        " step keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("common.racing", "check_then_act"),
    ),
    Rule(
        "celery.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("common.racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "celery.period-overlap",
        "idempotency",
        "A schedule that is shorter than the run starts a second run beside the first.",
        "django-cronjobs#1, django-celery-beat#331",
        _in("celery.rules.scheduling", "period_overlap"),
    ),
    Rule(
        "celery.crontab-minute",
        "contract",
        "crontab(hour=3) fires every minute from 3:00 to 3:59, because minute is '*' unless it is"
        " given.",
        "flake8-pie PIE784; celery/schedules.py",
        _in("celery.rules.scheduling", "crontab_minute"),
    ),
)
