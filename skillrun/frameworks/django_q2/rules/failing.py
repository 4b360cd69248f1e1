"""Rules about what becomes of an error: what is run again, what is a success, and what is
recorded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Fate,
    Rerunning,
    find_permanent_retried,
    is_decided,
    read_attempts,
)
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.django_q2.again import find_again, list_counters
from skillrun.frameworks.django_q2.deadletter import records
from skillrun.frameworks.django_q2.sends import find_real_publishes
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler
from skillrun.repo.uses import Place

_EXITS = ("sys.exit", "builtins.exit", "builtins.quit")


@rule(
    "django-q2.permanent-retried",
    stage="retry",
    source=(
        "worker and save_task in django_q; open-wearables#1053: 462 attempts in a week, none"
        " of them successful"
    ),
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Django Q2 runs every failure again, whatever was raised: a permanent error only delays its
    dead letter.
    """
    return find_permanent_retried(job, _RERUNNING)


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that publishes the job again by itself."""
    for one in find_again(job.project, job.handler):
        call = one.send.call
        if one.clause.node is not clause.node or call is None:
            continue
        counters = [name for name, _ in list_counters(job.project, job.handler)]
        if is_decided(clause, call.module, call.node, counters):
            return Fate("unsure", one.place)
        return Fate("again", one.place)
    return None


def _read_left(job: Job, error: str) -> Answer:
    """The broker gives every failure out again, unless the cluster acknowledges failures."""
    answer = read_attempts(job, error)
    # The attempts are those of the handler's own clauses, and what else it lets out ends.
    if answer == "again" and find_again(job.project, job.handler):
        return "ends"
    return answer


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    for one in find_again(job.project, job.handler):
        for name in one.clause.exceptions:
            yield name, one.place


_RERUNNING = Rerunning(
    title="Django Q2",
    read_clause=_read_clause,
    read_left=_read_left,
    list_named=_list_named,
)


@rule(
    "django-q2.exit",
    stage="retry",
    source="`except (Exception, TimeoutException)` in django_q/worker.py",
)
def exits(job: Job) -> Iterator[Finding]:
    """sys.exit ends the worker's process before the result is kept: the job comes again, and no
    attempt is counted.
    """
    for call in calls_of(job):
        if call.origin in _EXITS:
            message = (
                "this ends the worker's process: no result is kept, no attempt counted, and the job"
                " comes again"
            )
            yield tell(
                job,
                "exit",
                Severity.ERROR,
                call_place(call),
                message,
                "return, or raise an exception",
            )


@rule(
    "django-q2.recorded-each-time",
    stage="dead-letter",
    source="call_hook in django_q/signals.py, a receiver of post_save of Task",
)
def recorded_each_time(job: Job) -> Iterator[Finding]:
    """A hook is called at every failed attempt: without a look at the attempt it records each of
    them.

    A hook that keeps something and never asks which attempt it was.
    """
    for record in records(job.project, job.handler):
        if record.hook and record.every and job.policy.max_attempts != 1:
            message = (
                "it is called at every failed attempt, so a job that is run again leaves a record"
                " each time"
            )
            hint = "if not task.success and task.attempt_count >= ATTEMPTS: ..."
            yield tell(job, "recorded-each-time", Severity.WARNING, record.place, message, hint)


@rule(
    "django-q2.hook-as-function",
    stage="dead-letter",
    rests_on="setup",
    source=(
        "hook is a CharField in django_q/models.py; `malformed return hook` in django_q/signals.py"
    ),
)
def hook_as_function(job: Job) -> Iterator[Finding]:
    """A hook that is given as a function is called at the first attempt alone: the Task row keeps
    its text.

    `hook=ended` where `hook="shop.hooks.ended"` is meant.
    """
    for send in find_real_publishes(job.project, job.handler):
        option = send.options.get("hook")
        name = None
        if option is not None:
            name = option[1].resolve(option[0])
        if (
            option is not None
            and name
            and job.project.definition(name) is not None
            and job.policy.max_attempts != 1
        ):
            message = (
                f"the hook {ast.unparse(option[0])} is a function: from the second attempt on it is"
                " not called"
            )
            place = place_of(option[1], option[0])
            yield tell(
                job,
                "hook-as-function",
                Severity.ERROR,
                place,
                message,
                f'hook="{job.project.origin(name)}"',
            )


SWALLOWING = declare_swallowing_rules(
    "django-q2",
    says="Django Q2 keeps it as a success, and does not run it again",
    source="worker in django_q/worker.py",
)
