"""Rules about what is retried, how often, and after which wait."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, seconds, tell
from skillrun.frameworks.common.permanent_errors import find_permanent_retried
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.dramatiq.actors import Option
from skillrun.frameworks.dramatiq.policy import SEVEN_DAYS, explicit_delays
from skillrun.frameworks.dramatiq.rules.flow import (
    NO,
    RERUNNING,
    YES,
    declared,
    is_retried,
    is_retry,
    leaves,
    options_of,
)
from skillrun.frameworks.dramatiq.sends import message_options
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import is_known
from skillrun.repo.uses import Place

_RETRY_OPTIONS = ("max_retries", "min_backoff", "max_backoff")
# Below these many milliseconds somebody meant seconds: TimeLimit looks once a second, and nothing
# recovers sooner.
_TOO_FEW = {"time_limit": 1000, "max_backoff": 1000, "max_age": 1000, "min_backoff": 61}


@rule(
    "dramatiq.default-retries",
    stage="retry",
    source="codingjoe/django-pictures#181; Retries in dramatiq/middleware/retries.py",
)
def default_retries(job: Job) -> Iterator[Finding]:
    """Without max_retries a failing job is retried 20 times over weeks, whatever it fails of."""
    policy = job.policy
    if (
        policy.sources.get("max_attempts")
        or "max_attempts" in policy.unknown
        or policy.max_attempts != 21
    ):
        return
    if "options" in policy.unknown:
        return
    waited = sum(policy.backoff.delays(20))
    message = (
        "no max_retries: Dramatiq's default retries 20 times, here over as much as"
        f" {seconds(waited)}"
    )
    hint = "give max_retries, and a max_backoff that fits the acceptable delay"
    yield tell(job, "default-retries", Severity.WARNING, _place_of_actor(job), message, hint)


@rule(
    "dramatiq.retry-unbounded",
    stage="retry",
    source="Bogdanp/dramatiq#605; Retries.after_process_message",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """max_retries=None, or a retry_when that does not count, retries a hopeless job for ever."""
    if job.policy.max_attempts is not None or "max_attempts" in job.policy.unknown:
        return
    asked = options_of(job).predicate()
    why = "max_retries=None"
    if asked:
        why = "retry_when never looks at its first argument"
    message = f"{why}: a job that cannot succeed is retried without end"
    hint = "give max_retries a number"
    if asked:
        hint = "return False once retries has reached a number"
    place = at(job, job.policy.sources.get("max_attempts"))
    yield tell(job, "retry-unbounded", Severity.ERROR, place, message, hint)


@rule("dramatiq.retry-when-overrides", stage="retry", source="Bogdanp/dramatiq#605")
def retry_when_overrides(job: Job) -> Iterator[Finding]:
    """retry_when takes the place of max_retries, which is then never read."""
    options = options_of(job)
    found = options.actor.options.get("max_retries")
    if found is None or options.predicate() is None:
        return
    message = (
        f"max_retries={_show_value(found.value)} has no effect, because retry_when alone decides"
    )
    hint = "leave it out, and count in retry_when"
    yield tell(job, "retry-when-overrides", Severity.WARNING, found.place, message, hint)


@rule(
    "dramatiq.permanent-retried",
    stage="retry",
    source="open-wearables#1053: 462 attempts in a week; the user guide on throws",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Dramatiq retries whatever leaves the actor; an error that will not pass belongs
    into throws.
    """
    return find_permanent_retried(job, RERUNNING)


@rule(
    "dramatiq.transient-not-retried",
    stage="retry",
    source="Retries in dramatiq/middleware/retries.py",
)
def transient_not_retried(job: Job) -> Iterator[Finding]:
    """An error in throws, or one that retry_when refuses, is given up at its first failure."""
    if job.policy.max_attempts == 1:
        return
    for written, name in declared(job, "transient"):
        out, raised = leaves(job, name)
        if out != YES or is_retry(raised) or is_retried(job, raised) != NO:
            continue
        place = at(job, options_of(job).throws()[1] or job.policy.sources.get("retried"))
        message = f"{written} is transient in the spec, and is given up at its first failure here"
        yield tell(
            job,
            "transient-not-retried",
            Severity.ERROR,
            place,
            message,
            "take it out of throws or retry_when",
        )


@rule(
    "dramatiq.retries-missing",
    stage="retry",
    source="Bogdanp/dramatiq#346; the docstring of Retries",
)
def retries_missing(job: Job) -> Iterator[Finding]:
    """Without Retries a failed message is marked done: it is neither retried nor kept as a dead
    letter.
    """
    setup = options_of(job).setup
    if setup.has("Retries"):
        return
    message = (
        "the middleware has no Retries: a failed job is acknowledged, without a retry and without a"
        " dead letter"
    )
    hint = "add Retries(), with max_retries=0 where nothing is to be retried"
    yield tell(job, "retries-missing", Severity.ERROR, at(job, setup.replaced), message, hint)


@rule(
    "dramatiq.retries-twice",
    stage="retry",
    source=(
        "Broker.add_middleware in dramatiq/broker.py (it warns); four runs instead of three"
        " in a run of our own"
    ),
)
def retries_twice(job: Job) -> Iterator[Finding]:
    """add_middleware(Retries(...)) adds to the default one; both send a retry of each failure."""
    setup = options_of(job).setup
    listed = []
    for part in setup.listed:
        if part.name == "Retries":
            listed.append(part)
    default = setup.replaced is None and not setup.unread
    added = [part for part in setup.added if part.name == "Retries"]
    if not added or not (default or listed):
        return
    message = "a second Retries beside the one that the broker has: each failure sends two retries"
    hint = "broker = RedisBroker(middleware=[...]) with one Retries, or options on the actor"
    yield tell(job, "retries-twice", Severity.ERROR, added[0].place, message, hint)


@rule(
    "dramatiq.milliseconds",
    stage="retry",
    source="TimeLimit and Retries in Dramatiq's reference",
)
def milliseconds(job: Job) -> Iterator[Finding]:
    """Times are milliseconds: time_limit=60 ends a job after a second, min_backoff=15 does not wait
    at all.

    Numbers so small that seconds were meant.
    """
    options = options_of(job)
    for name, least in _TOO_FEW.items():
        found = options.of_actor(name)
        if (
            found.place is None
            or not isinstance(found.value, int | float)
            or not 0 < found.value < least
        ):
            continue
        message = (
            f"{name}={found.value:g} is {found.value / 1000:g} s: Dramatiq counts in milliseconds"
        )
        yield tell(
            job,
            "milliseconds",
            Severity.WARNING,
            found.place,
            message,
            f"{name}={found.value * 1000:g}",
        )


@rule("dramatiq.max-age", stage="retry", source="AgeLimit in dramatiq/middleware/age_limit.py")
def max_age(job: Job) -> Iterator[Finding]:
    """A retry keeps the time of the first message, so max_age cuts off the last attempts.

    A message keeps its age over retries, and one that is too old is dropped instead of tried again.
    """
    options, attempts = options_of(job), job.policy.max_attempts
    found = options.of_actor("max_age")
    if (
        not options.setup.has("AgeLimit")
        or not isinstance(found.value, int | float)
        or not attempts
    ):
        return
    if {"backoff", "max_attempts"} & job.policy.unknown.keys() or not found.value:
        return
    backoff = job.policy.backoff
    least = sum(delay / max(backoff.spread, 1) for delay in backoff.delays(attempts - 1))
    if least > found.value / 1000:
        message = (
            f"max_age is {seconds(found.value / 1000)}, and the waits add up to {seconds(least)} at"
            " least: the last attempts never run"
        )
        yield tell(
            job,
            "max-age",
            Severity.WARNING,
            at(job, found.place),
            message,
            "fewer retries, or a larger max_age",
        )


@rule(
    "dramatiq.options-differ",
    stage="retry",
    source="Retries.after_process_message: message.options before actor.options",
)
def options_differ(job: Job) -> Iterator[Finding]:
    """An option of the message wins over the actor's, so two senders can have two policies.

    Senders that give different retry options: the policy depends on who sent the message.
    """
    options = options_of(job)
    for name in _RETRY_OPTIONS:
        values = []
        for value in options.of_messages(name):
            if is_known(value.value):
                values.append(value)
        given = []
        for v in values:
            if v.place and any(v.place == o.place for o in _list_given(job, name)):
                given.append(v)
        if len(values) < 2 or not given:
            continue
        shown = ", ".join(sorted(_show_value(value.value) for value in values))
        message = f"{name} depends on the sender: {shown}"
        yield tell(
            job,
            "options-differ",
            Severity.WARNING,
            at(job, given[0].place),
            message,
            "give it on the actor",
        )


def _list_given(job: Job, name: str) -> list[Option]:
    return message_options(job.project, options_of(job).actor, name)


@rule("dramatiq.delay-too-long", stage="retry", source="Bogdanp/dramatiq#545; RedisBroker.enqueue")
def delay_too_long(job: Job) -> Iterator[Finding]:
    """A delay must be less than seven days; a retry that cannot be delayed was lost in older
    versions.
    """
    for one in explicit_delays(job.project, job.handler):
        if isinstance(one.value, int | float) and one.value > SEVEN_DAYS:
            message = (
                f"a delay of {seconds(one.value / 1000)}: Dramatiq supports less than seven days"
            )
            yield tell(
                job, "delay-too-long", Severity.WARNING, one.place, message, "schedule it instead"
            )


@rule("dramatiq.held-too-long", stage="retry", source="Bogdanp/dramatiq#827, #458")
def held_too_long(job: Job) -> Iterator[Finding]:
    """A worker holds waiting messages unacknowledged; RabbitMQ takes them back after its
    consumer_timeout.
    """
    policy = job.policy
    if job.use.broker != "rabbitmq" or job.project.tree.search("consumer_timeout", ".conf"):
        return
    attempts = policy.max_attempts
    if attempts and {"backoff", "max_attempts"}.isdisjoint(policy.unknown):
        longest = max(
            (d / max(policy.backoff.spread, 1) for d in policy.backoff.delays(attempts - 1)),
            default=0,
        )
        if longest > 1800:
            message = (
                f"a retry waits for {seconds(longest)} in the worker's memory; RabbitMQ's"
                " consumer_timeout (30 min by default) takes the message back before that and"
                " closes the connection"
            )
            place = at(job, policy.sources.get("backoff") or policy.sources.get("max_attempts"))
            yield tell(
                job, "held-too-long", Severity.WARNING, place, message, "max_backoff below 30 min"
            )


def _place_of_actor(job: Job) -> Place:
    return at(job, options_of(job).actor.registered)


def _show_value(value: object) -> str:
    if not is_known(value):
        return "..."
    return str(value)


SWALLOWING = declare_swallowing_rules(
    "dramatiq",
    says="Dramatiq acknowledges the message and never retries",
    source="bookcard-io/bookcard#91",
)
