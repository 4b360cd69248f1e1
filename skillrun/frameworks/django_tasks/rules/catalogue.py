"""The static rules of Django's tasks: what each is about, why it matters, and where it comes from.

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
            else "skillrun.frameworks.django_tasks.rules"
        )
        found: Iterable[Finding] = getattr(import_module(f"{package}.{module}"), function)(job)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "django-tasks.lost-on-kill",
        "retry",
        "The row of a worker that dies stays RUNNING, and no worker looks at it again: the job is"
        " lost.",
        "RealOrangeOne/django-tasks#46; Worker.run in"
        " django_tasks_db/management/commands/db_worker.py",
        _in("running", "lost_on_kill"),
    ),
    Rule(
        "django-tasks.no-retry",
        "retry",
        "Any exception makes a task FAILED, and nothing runs it again: whoever wants a retry"
        " enqueues one.",
        "Worker.run_task in django_tasks_db/management/commands/db_worker.py; Tasks in Django's"
        " documentation",
        _in("retrying", "no_retry"),
    ),
    Rule(
        "django-tasks.retry-unbounded",
        "retry",
        "A task that enqueues itself without counting does so for ever.",
        "joeflow#28, OasisPlatform#975; Task.enqueue in django/tasks/base.py",
        _in("retrying", "retry_unbounded"),
    ),
    Rule(
        "django-tasks.attempt-is-always-one",
        "retry",
        "context.attempt counts the runs of one row, and each row is run once: it is always 1.",
        "TaskContext.attempt in django/tasks/base.py; 'this will currently only ever be 0 or 1',"
        " django-tasks' README",
        _in("retrying", "attempt_is_always_one"),
    ),
    Rule(
        "django-tasks.permanent-retried",
        "retry",
        "An error that the spec calls permanent is enqueued again: trying again only delays the"
        " dead letter.",
        "open-wearables#1053: 462 attempts in a week, none of them successful",
        _in("retrying", "permanent_retried"),
    ),
    Rule(
        "django-tasks.retry-at-once",
        "retry",
        "A retry without run_after is taken by the next free worker: all are used up before an"
        " outage can pass.",
        "DBTaskResultQuerySet.ready in django_tasks_db/models.py",
        _in("retrying", "retry_at_once"),
    ),
    Rule(
        "django-tasks.flat-wait",
        "retry",
        "A constant wait brings all failed jobs back together and never slows down while the other"
        " side is down.",
        "PDF-Assistant-RAG#664",
        _in("retrying", "flat_wait"),
    ),
    Rule(
        "django-tasks.retry-rolled-back",
        "retry",
        "A retry that is enqueued in a transaction is gone when what is raised undoes that"
        " transaction.",
        "DatabaseBackend.enqueue in django_tasks_db/backend.py: the row is written in the open"
        " transaction",
        _in("retrying", "retry_rolled_back"),
    ),
    Rule(
        "django-tasks.naive-run-after",
        "retry",
        "With USE_TZ, which is the default, a run_after without a time zone raises InvalidTask when"
        " it is enqueued.",
        "BaseTaskBackend.validate_task in django/tasks/backends/base.py",
        _in("retrying", "naive_run_after"),
    ),
    Rule(
        "django-tasks.swallowed-exception",
        "retry",
        "An exception that the handler catches and does not raise is a SUCCESSFUL task.",
        "stock-screener#49: except, then return {'status': 'error'}",
        _in("retrying", "swallowed_exception"),
    ),
    Rule(
        "django-tasks.record-rolled-back",
        "dead-letter",
        "A dead letter that is written in a transaction is gone when what is raised then undoes"
        " that transaction.",
        "Transactions in Django's documentation: atomic rolls back on an exception",
        _in("ending", "record_rolled_back"),
    ),
    Rule(
        "django-tasks.failed-at-every-attempt",
        "dead-letter",
        "A task that enqueues itself again and raises leaves a FAILED row for each attempt.",
        "DBTaskResult.set_failed in django_tasks_db/models.py",
        _in("ending", "failed_at_every_attempt"),
    ),
    Rule(
        "django-tasks.given-up-as-successful",
        "dead-letter",
        "Where the FAILED rows are the dead letters, an error that the handler catches leaves"
        " none.",
        "Worker.run_task in django_tasks_db/management/commands/db_worker.py",
        _in("ending", "given_up_as_successful"),
    ),
    Rule(
        "django-tasks.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: its row is"
        " SUCCESSFUL.",
        "stock-screener#49",
        _in("ending", "permanent_not_recorded"),
    ),
    Rule(
        "django-tasks.failed-rows-pruned",
        "dead-letter",
        "prune_db_task_results deletes FAILED rows after as many days as others, 14 unless it is"
        " told otherwise.",
        "django_tasks_db/management/commands/prune_db_task_results.py (--failed-min-age-days)",
        _in("ending", "failed_rows_pruned"),
    ),
    Rule(
        "django-tasks.no-worker",
        "handler",
        "ImmediateBackend, the default, runs a task in whoever enqueues it; DummyBackend never"
        " runs it.",
        "django/tasks/backends/immediate.py and dummy.py; Task backends in Django's documentation",
        _in("running", "no_worker"),
    ),
    Rule(
        "django-tasks.unknown-queue",
        "handler",
        "A queue that the backend's QUEUES do not name raises InvalidTask, when the module is"
        " imported already.",
        "BaseTaskBackend.validate_task in django/tasks/backends/base.py",
        _in("running", "unknown_queue"),
    ),
    Rule(
        "django-tasks.unread-queue",
        "handler",
        "db_worker reads the queue default alone, unless --queue-name says more.",
        "add_arguments in django_tasks_db/management/commands/db_worker.py",
        _in("running", "unread_queue"),
    ),
    Rule(
        "django-tasks.context-first",
        "handler",
        "takes_context wants a first parameter with the name context; without it nobody gives one.",
        "BaseTaskBackend.validate_task in django/tasks/backends/base.py",
        _in("running", "context_first"),
    ),
    Rule(
        "django-tasks.called",
        "handler",
        "A task is no function any more: calling it raises TypeError, and .call() runs it where it"
        " stands.",
        "Task in django/tasks/base.py (a dataclass without __call__)",
        _in("enqueueing", "called"),
    ),
    Rule(
        "django-tasks.not-awaited",
        "handler",
        "aenqueue is a coroutine: without await nothing is enqueued.",
        "Task.aenqueue in django/tasks/base.py",
        send_rule("django_tasks", "not_awaited"),
    ),
    Rule(
        "django-tasks.wrong-arguments",
        "handler",
        "Arguments are not compared when a task is enqueued: what does not fit fails in the"
        " worker.",
        "DatabaseBackend.enqueue in django_tasks_db/backend.py",
        send_rule("django_tasks", "wrong_arguments"),
    ),
    Rule(
        "django-tasks.publish-in-transaction",
        "handler",
        "A backend outside of the database may hand the task to a worker before the commit, or"
        " although it is undone.",
        "saleor#5457, sentry#89284; Transactions in Django's documentation of tasks",
        send_rule("django_tasks", "publish_in_transaction"),
    ),
    Rule(
        "django-tasks.enqueue-on-commit",
        "handler",
        "ENQUEUE_ON_COMMIT was a setting of django-tasks before 0.12: newer ones, and Django, do"
        " not read it.",
        "BaseTaskBackend.__init__ in django/tasks/backends/base.py",
        _in("running", "enqueue_on_commit"),
    ),
    Rule(
        "django-tasks.publish-unkeyed",
        "idempotency",
        "A task that enqueues another one does so again on every run: no backend drops a second"
        " row.",
        "posthog#62708 (review): publishing inside something that is retried",
        _in("enqueueing", "publish_unkeyed"),
    ),
    Rule(
        "django-tasks.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("racing", "check_then_act"),
    ),
    Rule(
        "django-tasks.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "django-tasks.object-argument",
        "contract",
        "Arguments are JSON: a row, a date, a decimal or a UUID raises TypeError when the task is"
        " enqueued.",
        "normalize_json in django/utils/json.py; mozilla/experimenter#1631",
        send_rule("django_tasks", "object_argument"),
    ),
)
