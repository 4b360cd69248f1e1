"""The static rules of Dramatiq: what each is about, why it matters, and where it comes from.

A rule is an error only where the code contradicts for certain; what depends on timing or on what
cannot be read is a warning. The functions are imported when a rule is first used, so that listing
the rules costs nothing.
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
        "dramatiq.default-retries",
        "retry",
        "Without max_retries a failing job is retried 20 times over weeks, whatever it fails of.",
        "codingjoe/django-pictures#181; Retries in dramatiq/middleware/retries.py",
        _in("dramatiq.rules.retrying", "default_retries"),
    ),
    Rule(
        "dramatiq.retry-unbounded",
        "retry",
        "max_retries=None, or a retry_when that does not count, retries a hopeless job for ever.",
        "Bogdanp/dramatiq#605; Retries.after_process_message",
        _in("dramatiq.rules.retrying", "retry_unbounded"),
    ),
    Rule(
        "dramatiq.retry-when-overrides",
        "retry",
        "retry_when takes the place of max_retries, which is then never read.",
        "Bogdanp/dramatiq#605",
        _in("dramatiq.rules.retrying", "retry_when_overrides"),
    ),
    Rule(
        "dramatiq.permanent-retried",
        "retry",
        "Dramatiq retries whatever leaves the actor; an error that will not pass belongs into"
        " throws.",
        "open-wearables#1053: 462 attempts in a week; the user guide on throws",
        _in("dramatiq.rules.retrying", "permanent_retried"),
    ),
    Rule(
        "dramatiq.transient-not-retried",
        "retry",
        "An error in throws, or one that retry_when refuses, is given up at its first failure.",
        "Retries in dramatiq/middleware/retries.py",
        _in("dramatiq.rules.retrying", "transient_not_retried"),
    ),
    Rule(
        "dramatiq.swallowed-exception",
        "retry",
        "An exception that does not leave the actor is a success for Dramatiq: no retry, no dead"
        " letter.",
        "bookcard-io/bookcard#91; stock-screener#49",
        _in(
            "common.swallowing",
            "swallowed_exception",
            says="Dramatiq acknowledges the message and never retries",
        ),
    ),
    Rule(
        "dramatiq.retries-missing",
        "retry",
        "Without Retries a failed message is marked done: it is neither retried nor kept as a dead"
        " letter.",
        "Bogdanp/dramatiq#346; the docstring of Retries",
        _in("dramatiq.rules.retrying", "retries_missing"),
    ),
    Rule(
        "dramatiq.retries-twice",
        "retry",
        "add_middleware(Retries(...)) adds to the default one; both send a retry of each failure.",
        "Broker.add_middleware in dramatiq/broker.py (it warns); four runs instead of three in a"
        " run of our own",
        _in("dramatiq.rules.retrying", "retries_twice"),
    ),
    Rule(
        "dramatiq.milliseconds",
        "retry",
        "Times are milliseconds: time_limit=60 ends a job after a second, min_backoff=15 does not"
        " wait at all.",
        "TimeLimit and Retries in Dramatiq's reference",
        _in("dramatiq.rules.retrying", "milliseconds"),
    ),
    Rule(
        "dramatiq.max-age",
        "retry",
        "A retry keeps the time of the first message, so max_age cuts off the last attempts.",
        "AgeLimit in dramatiq/middleware/age_limit.py",
        _in("dramatiq.rules.retrying", "max_age"),
    ),
    Rule(
        "dramatiq.options-differ",
        "retry",
        "An option of the message wins over the actor's, so two senders can have two policies.",
        "Retries.after_process_message: message.options before actor.options",
        _in("dramatiq.rules.retrying", "options_differ"),
    ),
    Rule(
        "dramatiq.delay-too-long",
        "retry",
        "A delay must be less than seven days; a retry that cannot be delayed was lost in older"
        " versions.",
        "Bogdanp/dramatiq#545; RedisBroker.enqueue",
        _in("dramatiq.rules.retrying", "delay_too_long"),
    ),
    Rule(
        "dramatiq.held-too-long",
        "retry",
        "A worker holds waiting messages unacknowledged; RabbitMQ takes them back after its"
        " consumer_timeout.",
        "Bogdanp/dramatiq#827, #458",
        _in("dramatiq.rules.retrying", "held_too_long"),
    ),
    Rule(
        "dramatiq.callback-object",
        "dead-letter",
        "on_failure and on_retry_exhausted of an actor take a name; an actor object is never"
        " found.",
        "Callbacks and Retries in dramatiq/middleware: broker.get_actor(name); seen in a run of"
        " our own",
        _in("dramatiq.rules.ending", "callback_object"),
    ),
    Rule(
        "dramatiq.callback-unknown",
        "dead-letter",
        "A callback under a name that no actor has is logged as ActorNotFound, and nothing is"
        " sent.",
        "Broker.get_actor in dramatiq/broker.py",
        _in("dramatiq.rules.ending", "callback_unknown"),
    ),
    Rule(
        "dramatiq.on-failure-every-time",
        "dead-letter",
        "on_failure is sent after every failed attempt, not after the last.",
        "Bogdanp/dramatiq#425, #517; Callbacks in dramatiq/middleware/callbacks.py",
        _in("dramatiq.rules.ending", "on_failure_every_time"),
    ),
    Rule(
        "dramatiq.thrown-not-recorded",
        "dead-letter",
        "on_retry_exhausted is not sent for an error that throws names.",
        "Retries.after_process_message returns before it",
        _in("dramatiq.rules.ending", "thrown_not_recorded"),
    ),
    Rule(
        "dramatiq.permanent-not-recorded",
        "dead-letter",
        "A permanent error that the handler catches and does not record is lost: Dramatiq sees a"
        " success.",
        "bookcard-io/bookcard#91; stock-screener#49",
        _in("common.swallowing", "permanent_not_recorded"),
    ),
    Rule(
        "dramatiq.redelivery-loop",
        "dead-letter",
        "Retries counts failures and not deliveries: what kills its worker comes back without end.",
        "Bogdanp/dramatiq#213, remoulade#312",
        _in("dramatiq.rules.ending", "redelivery_loop"),
    ),
    Rule(
        "dramatiq.send-in-transaction",
        "handler",
        "A message sent inside a transaction can be worked on before the commit, or although it is"
        " rolled back.",
        "saleor#5457, sentry#89284, zamboni#1307",
        send_rule("dramatiq", "publish_in_transaction"),
    ),
    Rule(
        "dramatiq.wrong-arguments",
        "handler",
        "Sending compares nothing with the actor's signature: a wrong call fails in the worker, at"
        " every attempt.",
        "Actor.send and send_with_options in dramatiq/actor.py",
        _in("dramatiq.rules.sending", "wrong_arguments"),
    ),
    Rule(
        "dramatiq.object-argument",
        "contract",
        "A database row as an argument cannot be sent as JSON, and as pickle it is stale when the"
        " job runs.",
        "mozilla/experimenter#1631, mytardis#1420, osidb#682; Dramatiq's best practices",
        send_rule("dramatiq", "object_argument"),
    ),
    Rule(
        "dramatiq.pickle-encoder",
        "contract",
        "pickle lets whoever writes to the broker run code in the worker, and breaks queued jobs"
        " when a class moves.",
        "PickleEncoder in dramatiq/encoder.py",
        send_rule("dramatiq", "pickle_serializer"),
    ),
    Rule(
        "dramatiq.send-again",
        "idempotency",
        "A job that sends another one does so again on every redelivery and attempt.",
        "posthog#62708 (review): an un-keyed message in something that is retried",
        send_rule("dramatiq", "publish_unkeyed"),
    ),
    Rule(
        "dramatiq.limiter-ttl",
        "idempotency",
        "A ConcurrentRateLimiter lets the next one in once its ttl is over, whether or not the"
        " holder is done.",
        "openedx#1438 (review); dramatiq/rate_limits/concurrent.py",
        _in("dramatiq.rules.sending", "limiter_ttl"),
    ),
    Rule(
        "dramatiq.lock-ttl",
        "idempotency",
        "A lock that runs out before the job ends, or between its attempts, lets a second"
        " delivery in.",
        "openedx#1438 (review), python-redis-lock#93",
        _in("common.racing", "lock_ttl"),
    ),
    Rule(
        "dramatiq.check-then-act",
        "idempotency",
        "Two deliveries at once both look before either writes; only a unique key or one atomic"
        " step keeps one out.",
        "hermes-agent#57832",
        _in("common.racing", "check_then_act"),
    ),
    Rule(
        "dramatiq.select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        _in("common.racing", "select_for_update_outside_transaction"),
    ),
)
