"""A rule about how a task is kicked: an id is no key."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import declare_send_rules
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


SENDING = declare_send_rules(
    "taskiq",
    SENDER,
    {
        "not-awaited": "kiq in taskiq/kicker.py",
        "wrong-arguments": "_prepare_message in taskiq/kicker.py",
        "pickle-serializer": "PickleSerializer in taskiq/serializers/pickle.py",
    },
)
