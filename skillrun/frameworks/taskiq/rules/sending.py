"""A rule about how a task is kicked: an id is no key."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.taskiq.sends import SENDER, TASK_ID, find_real_kicks


@rule(
    "taskiq.task-id-is-no-key",
    stage="idempotency",
    source="with_task_id in taskiq/kicker.py: this may break the logic of getting results",
)
def task_id_is_no_key(job: Job) -> Iterator[Finding]:
    """with_task_id names the result, and keeps no second message out."""
    for send in find_real_kicks(job.project, job.handler):
        given = send.option(TASK_ID)
        if given is not None:
            message = (
                "with_task_id keeps no second task out: taskiq runs two messages with one id, and"
                " keeps the last result"
            )
            place = place_of(given[1], given[0])
            yield tell(
                job,
                "task-id-is-no-key",
                Severity.NOTE,
                place,
                message,
                "remember the key in the task's own store",
            )


@rule("taskiq.not-awaited", stage="handler", rests_on="setup", source="kiq in taskiq/kicker.py")
def not_awaited(job: Job) -> Iterator[Finding]:
    """kiq is a coroutine: without await nothing is sent."""
    return send_rules.not_awaited(job, SENDER)


@rule("taskiq.wrong-arguments", stage="handler", source="_prepare_message in taskiq/kicker.py")
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """taskiq does not compare arguments when a task is kicked: what does not fit fails in the
    worker.
    """
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "taskiq.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source="saleor#5457, sentry#89284",
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A task kicked inside a transaction can be run before the commit, or although it is rolled
    back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "taskiq.publish-unkeyed",
    stage="idempotency",
    source="posthog#62708 (review): publishing inside something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A task that kicks another one does so again on every run."""
    return send_rules.publish_unkeyed(job, SENDER)


@rule(
    "taskiq.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument is no JSON, or is stale when the task runs."""
    return send_rules.object_argument(job, SENDER)
