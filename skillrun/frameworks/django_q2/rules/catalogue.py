"""The static rules of Django Q2: what each is about, why it matters, and where it comes from.

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
            else "skillrun.frameworks.django_q2.rules"
        )
        found: Iterable[Finding] = getattr(import_module(f"{package}.{module}"), function)(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "django-q2.retry-below-timeout",
        "retry",
        "A job that runs for longer than `retry` is taken a second time while the first run is"
        " still at it.",
        "Koed00/django-q#183: retry 120 s, timeout 600 s, each report made and mailed twice;"
        " django_q/conf.py",
        _in("cluster", "retry_below_timeout"),
    ),
    Rule(
        "django-q2.no-timeout",
        "retry",
        "Without a timeout nothing ends a job that hangs, and after `retry` seconds another worker"
        " runs it as well.",
        "the warning in django_q/conf.py; timeout in Django Q2's documentation",
        _in("cluster", "no_timeout"),
    ),
    Rule(
        "django-q2.unbounded-attempts",
        "retry",
        "max_attempts is 0 by default: a job that fails is run again every `retry` seconds, for"
        " ever.",
        "Koed00/django-q#194, #495, #602; max_attempts in django_q/conf.py",
        _in("cluster", "unbounded_attempts"),
    ),
    Rule(
        "django-q2.cached-unbounded",
        "retry",
        "A result that goes to the cache counts no attempt: max_attempts does not end such a job.",
        "save_cached in django_q/monitor.py",
        _in("cluster", "cached_unbounded"),
    ),
    Rule(
        "django-q2.one-attempt",
        "retry",
        "Before Django Q2 1.8 the first failure is not compared with max_attempts: 1 is two"
        " attempts.",
        "django-q2#298; save_task in django_q/monitor.py of 1.6",
        _in("cluster", "one_attempt"),
    ),
    Rule(
        "django-q2.redis-gives-nothing-back",
        "retry",
        "The Redis broker pops a job: one that fails, or whose worker dies, is not run again,"
        " whatever `retry` says.",
        "Redis broker in Django Q2's documentation (no delivery receipts);"
        " django_q/brokers/redis_broker.py",
        _in("cluster", "redis_gives_nothing_back"),
    ),
    Rule(
        "django-q2.failures-acknowledged",
        "retry",
        "With ack_failures a job that failed counts as delivered: nothing runs it again.",
        "ack_failures in Django Q2's documentation; monitor in django_q/monitor.py",
        _in("cluster", "failures_acknowledged"),
    ),
    Rule(
        "django-q2.permanent-retried",
        "retry",
        "Django Q2 runs every failure again, whatever was raised: a permanent error only delays its"
        " dead letter.",
        "worker and save_task in django_q; open-wearables#1053: 462 attempts in a week, none of"
        " them successful",
        _in("failing", "permanent_retried"),
    ),
    Rule(
        "django-q2.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a success for Django Q2.",
        "worker in django_q/worker.py; stock-screener#49: except, then return {'status': 'error'}",
        _in("failing", "swallowed_exception"),
    ),
    Rule(
        "django-q2.exit",
        "retry",
        "sys.exit ends the worker's process before the result is kept: the job comes again, and no"
        " attempt is counted.",
        "`except (Exception, TimeoutException)` in django_q/worker.py",
        _in("failing", "exits"),
    ),
    Rule(
        "django-q2.recorded-each-time",
        "dead-letter",
        "A hook is called at every failed attempt: without a look at the attempt it records each of"
        " them.",
        "call_hook in django_q/signals.py, a receiver of post_save of Task",
        _in("failing", "recorded_each_time"),
    ),
    Rule(
        "django-q2.hook-as-function",
        "dead-letter",
        "A hook that is given as a function is called at the first attempt alone: the Task row"
        " keeps its text.",
        "hook is a CharField in django_q/models.py; `malformed return hook` in django_q/signals.py",
        _in("failing", "hook_as_function"),
    ),
    Rule(
        "django-q2.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: Django Q2 keeps it"
        " as a success.",
        "worker in django_q/worker.py; stock-screener#49",
        _in("failing", "permanent_not_recorded"),
    ),
    Rule(
        "django-q2.never-runs",
        "handler",
        "A coroutine or a generator function is called and never run: its result cannot be pickled"
        " either.",
        "`res = f(*task['args'], **task['kwargs'])` in django_q/worker.py",
        _in("publishing", "never_runs"),
    ),
    Rule(
        "django-q2.fractional-timeout",
        "handler",
        "The timeout goes to signal.alarm, which takes whole seconds: with a fraction every run"
        " fails with TypeError.",
        "TimeoutHandler in django_q/timeout.py",
        _in("cluster", "fractional_timeout"),
    ),
    Rule(
        "django-q2.sync-left-on",
        "handler",
        "With sync the job runs where it is called, in the caller's transaction, and its exception"
        " is the caller's.",
        "sync in Django Q2's documentation; _sync in django_q/tasks.py",
        _in("cluster", "sync_left_on"),
    ),
    Rule(
        "django-q2.unknown-name",
        "handler",
        "A job is found by its dotted path when it runs: with another one each attempt fails.",
        "pydoc.locate in django_q/worker.py",
        _in("publishing", "unknown_name"),
    ),
    Rule(
        "django-q2.option-taken",
        "handler",
        "async_task and schedule keep some keywords for themselves: the function never sees an"
        " argument of that name.",
        "opt_keys in async_task, kwargs.pop in schedule, django_q/tasks.py",
        _in("publishing", "option_taken"),
    ),
    Rule(
        "django-q2.wrong-arguments",
        "handler",
        "Django Q2 does not compare arguments when a job is queued: what does not fit fails in the"
        " worker.",
        "async_task in django_q/tasks.py",
        send_rule("django_q2", "wrong_arguments"),
    ),
    Rule(
        "django-q2.publish-in-transaction",
        "handler",
        "On Redis a job that is queued in a transaction can run before the commit, or although it"
        " is rolled back.",
        "saleor#5457, sentry#89284; the ORM broker's row is part of the transaction:"
        " django_q/brokers/orm.py",
        send_rule("django_q2", "publish_in_transaction"),
    ),
    Rule(
        "django-q2.publish-unkeyed",
        "idempotency",
        "A job that queues another one does so again on every run.",
        "posthog#62708 (review): publishing inside something that is retried",
        _in("publishing", "publish_unkeyed"),
    ),
    Rule(
        "django-q2.scheduled-at-start",
        "idempotency",
        "A schedule that is created when a module is imported, or in ready(), is another row at"
        " every start.",
        "schedule in django_q/tasks.py: a name that exists raises IntegrityError, none makes one"
        " more",
        _in("publishing", "scheduled_at_start"),
    ),
    Rule(
        "django-q2.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("racing", "check_then_act"),
    ),
    Rule(
        "django-q2.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "django-q2.object-argument",
        "contract",
        "A database row as an argument is pickled as it was when it was queued, and is stale when"
        " the job runs.",
        "mozilla/experimenter#1631, mytardis#1420",
        send_rule("django_q2", "object_argument"),
    ),
    Rule(
        "django-q2.schedule-argument",
        "contract",
        "A schedule keeps its arguments as text and reads them as literals: anything else stops"
        " every schedule.",
        "ast.literal_eval in scheduler, django_q/scheduler.py: one transaction and one except"
        " around all of them",
        _in("publishing", "schedule_argument"),
    ),
)
