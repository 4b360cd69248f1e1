"""The static rules of taskiq: what each is about, why it matters, and where it comes from.

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


def _in(module: str, function: str, **words: str) -> Callable[[Job], Iterable[Finding]]:
    def find(job: Job) -> Iterable[Finding]:
        rule = getattr(import_module(f"skillrun.frameworks.{module}"), function)
        found: Iterable[Finding] = rule(job, **words)
        return tuple(found)

    return find


RULES: tuple[Rule, ...] = (
    Rule(
        "taskiq.no-retry-middleware",
        "retry",
        "taskiq retries nothing by itself: labels such as max_retries are read by a retrying"
        " middleware alone.",
        "Receiver.run_task in taskiq/receiver/receiver.py; SimpleRetryMiddleware",
        _in("taskiq.rules.retrying", "no_retry_middleware"),
    ),
    Rule(
        "taskiq.retry-not-asked",
        "retry",
        "A middleware retries only tasks with the label retry_on_error, unless default_retry_label"
        " says otherwise.",
        "on_error in taskiq/middlewares/simple_retry_middleware.py and smart_retry_middleware.py",
        _in("taskiq.rules.retrying", "retry_not_asked"),
    ),
    Rule(
        "taskiq.runs-not-retries",
        "retry",
        "max_retries and default_retry_count count runs: 3 is the first run and two retries.",
        "`retries < max_retries` in taskiq/middlewares/simple_retry_middleware.py; seen in a run of"
        " our own",
        _in("taskiq.rules.retrying", "runs_not_retries"),
    ),
    Rule(
        "taskiq.delay-unread",
        "retry",
        "SmartRetryMiddleware without a schedule source waits by a label, which no broker of"
        " taskiq-redis reads.",
        "on_send in smart_retry_middleware.py; kick in taskiq_redis/redis_broker.py",
        _in("taskiq.rules.retrying", "delay_unread"),
    ),
    Rule(
        "taskiq.no-wait",
        "retry",
        "SimpleRetryMiddleware has no wait between the runs.",
        "on_error in taskiq/middlewares/simple_retry_middleware.py",
        _in("taskiq.rules.retrying", "no_wait"),
    ),
    Rule(
        "taskiq.source-takes-none",
        "retry",
        "LabelScheduleSource cannot keep the schedule of a retry: on_error raises"
        " NotImplementedError.",
        "add_schedule in taskiq/abc/schedule_source.py",
        _in("taskiq.rules.retrying", "source_takes_none"),
    ),
    Rule(
        "taskiq.source-unread",
        "retry",
        "A retry in a schedule source is sent by a scheduler that has this source, and by nothing"
        " else.",
        "TaskiqScheduler in taskiq/scheduler/scheduler.py",
        _in("taskiq.rules.retrying", "source_unread"),
    ),
    Rule(
        "taskiq.product-of-delays",
        "retry",
        "use_delay_exponent multiplies the delay by the number of the retry; in a label, it"
        " multiplies the product.",
        "make_delay in taskiq/middlewares/smart_retry_middleware.py",
        _in("taskiq.rules.retrying", "product_of_delays"),
    ),
    Rule(
        "taskiq.retries-twice",
        "retry",
        "Two retrying middlewares both send a retry of each failure.",
        "run_task in taskiq/receiver/receiver.py: every on_error is called",
        _in("taskiq.rules.retrying", "retries_twice"),
    ),
    Rule(
        "taskiq.permanent-retried",
        "retry",
        "Without types_of_exceptions a middleware retries whatever leaves the task.",
        "open-wearables#1053: 462 attempts in a week; types_of_exceptions in"
        " smart_retry_middleware.py",
        _in("taskiq.rules.retrying", "permanent_retried"),
    ),
    Rule(
        "taskiq.reject",
        "retry",
        "context.reject() raises TaskRejectedError: the message is acknowledged, and no dead-letter"
        " queue has it.",
        "taskiq-python/taskiq#322, #371; taskiq/context.py",
        _in("taskiq.rules.retrying", "reject"),
    ),
    Rule(
        "taskiq.requeue",
        "retry",
        "context.requeue() sends the message again at once, and its count bounds nothing.",
        "requeue in taskiq/context.py",
        _in("taskiq.rules.retrying", "requeue"),
    ),
    Rule(
        "taskiq.thread-timeout",
        "retry",
        "A plain function runs in a thread, which no timeout ends.",
        "`Timeouts for sync tasks don't work in python well` in taskiq/receiver/receiver.py",
        _in("taskiq.rules.retrying", "thread_timeout"),
    ),
    Rule(
        "taskiq.swallowed-exception",
        "retry",
        "An exception that does not leave the task is a success for taskiq: no retry, no on_error.",
        "stock-screener#49; run_task in taskiq/receiver/receiver.py",
        _in(
            "common.swallowing",
            "swallowed_exception",
            says="taskiq takes the task for done, and does not run it again",
        ),
    ),
    Rule(
        "taskiq.failure-unrecorded",
        "dead-letter",
        "taskiq acknowledges a failed message: a dead-letter queue of the broker stays empty.",
        "taskiq-python/taskiq#322, #371",
        _in("taskiq.rules.ending", "failure_unrecorded"),
    ),
    Rule(
        "taskiq.record-each-time",
        "dead-letter",
        "on_error is called at every failure, in reverse order of the list: only after the retries'"
        " own it is known whether the task is retried.",
        "run_task in taskiq/receiver/receiver.py; no_result_on_retry in smart_retry_middleware.py",
        _in("taskiq.rules.ending", "record_each_time"),
    ),
    Rule(
        "taskiq.record-after-ack",
        "dead-letter",
        "post_execute and post_save come after the acknowledgement when ack_type is when_executed"
        " or when_received.",
        "callback in taskiq/receiver/receiver.py",
        _in("taskiq.rules.ending", "record_after_ack"),
    ),
    Rule(
        "taskiq.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the task catches and does not record is lost: taskiq calls it a"
        " success.",
        "stock-screener#49; run_task in taskiq/receiver/receiver.py",
        _in("common.swallowing", "permanent_not_recorded"),
    ),
    Rule(
        "taskiq.loses-jobs",
        "handler",
        "Lists, channels, notifications and the stream brokers for clusters and sentinels give"
        " nothing back.",
        "listen in taskiq_redis/redis_broker.py, redis_cluster_broker.py and"
        " redis_sentinel_broker.py; taskiq_pg",
        _in("taskiq.rules.ending", "loses_jobs"),
    ),
    Rule(
        "taskiq.in-memory",
        "handler",
        "InMemoryBroker is for tests and development: its tasks die with the process that kicked"
        " them.",
        "taskiq/brokers/inmemory_broker.py",
        _in("taskiq.rules.ending", "in_memory"),
    ),
    Rule(
        "taskiq.acked-early",
        "handler",
        "ack_type when_received acknowledges before the run: a worker that dies loses the job.",
        "AcknowledgeType in taskiq/acks.py",
        _in("taskiq.rules.ending", "acked_early"),
    ),
    Rule(
        "taskiq.ack-type-enum",
        "handler",
        "A label is sent as text: AcknowledgeType.WHEN_SAVED arrives as a word that the receiver"
        " refuses.",
        "prepare_label in taskiq/labels.py, parse_acknowledge_type in taskiq/acks.py; seen in a run"
        " of our own",
        _in("taskiq.rules.ending", "ack_type_enum"),
    ),
    Rule(
        "taskiq.never-acked",
        "handler",
        "With ack_type manual only context.ack() acknowledges; without it the message is claimed"
        " again and again.",
        "AcknowledgeType.MANUAL in taskiq/acks.py; taskiq-aio-pika#35, a crash loop",
        _in("taskiq.rules.ending", "never_acked"),
    ),
    Rule(
        "taskiq.claimed-later",
        "handler",
        "RedisStreamBroker looks for pending messages only after it was given a new one.",
        "`if not fetched: continue` in listen, taskiq_redis/redis_broker.py; seen in a run of"
        " our own",
        _in("taskiq.rules.ending", "claimed_later"),
    ),
    Rule(
        "taskiq.idle-timeout",
        "idempotency",
        "A message that is pending for longer than idle_timeout is claimed by another worker, also"
        " while it runs.",
        "xautoclaim in taskiq_redis/redis_broker.py; django-q#183: retry shorter than timeout, sent"
        " twice",
        _in("taskiq.rules.ending", "idle_timeout"),
    ),
    Rule(
        "taskiq.schedule-unread",
        "handler",
        "The label schedule is read by LabelScheduleSource, in a scheduler, and by nothing else.",
        "taskiq/schedule_sources/label_based.py",
        _in("taskiq.rules.ending", "schedule_unread"),
    ),
    Rule(
        "taskiq.not-awaited",
        "handler",
        "kiq is a coroutine: without await nothing is sent.",
        "kiq in taskiq/kicker.py",
        send_rule("taskiq", "not_awaited"),
    ),
    Rule(
        "taskiq.wrong-arguments",
        "handler",
        "taskiq does not compare arguments when a task is kicked: what does not fit fails in the"
        " worker.",
        "_prepare_message in taskiq/kicker.py",
        send_rule("taskiq", "wrong_arguments"),
    ),
    Rule(
        "taskiq.publish-in-transaction",
        "handler",
        "A task kicked inside a transaction can be run before the commit, or although it is rolled"
        " back.",
        "saleor#5457, sentry#89284",
        send_rule("taskiq", "publish_in_transaction"),
    ),
    Rule(
        "taskiq.publish-unkeyed",
        "idempotency",
        "A task that kicks another one does so again on every run.",
        "posthog#62708 (review): publishing inside something that is retried",
        send_rule("taskiq", "publish_unkeyed"),
    ),
    Rule(
        "taskiq.task-id-is-no-key",
        "idempotency",
        "with_task_id names the result, and keeps no second message out.",
        "with_task_id in taskiq/kicker.py: this may break the logic of getting results",
        _in("taskiq.rules.sending", "task_id_is_no_key"),
    ),
    Rule(
        "taskiq.check-then-act",
        "idempotency",
        "Two runs at once both look before either writes; only a unique key or one atomic step"
        " keeps one out.",
        "hermes-agent#57832, celery/celery#87 (get, then set)",
        _in("common.racing", "check_then_act"),
    ),
    Rule(
        "taskiq.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("common.racing", "select_for_update_outside_transaction"),
    ),
    Rule(
        "taskiq.object-argument",
        "contract",
        "A database row as an argument is no JSON, or is stale when the task runs.",
        "mozilla/experimenter#1631, mytardis#1420",
        send_rule("taskiq", "object_argument"),
    ),
)
